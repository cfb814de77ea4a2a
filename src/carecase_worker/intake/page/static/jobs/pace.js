/** The pace of a job, from what was seen of it in the last seconds. */

const WINDOW_MS = 15_000;

export class Pace {
  #seen = [];

  /** Note how many items were done at a moment, in milliseconds. */
  note(processed, now) {
    this.#seen.push({ processed, now });
    while (this.#seen.length > 2 && now - this.#seen[0].now > WINDOW_MS) this.#seen.shift();
  }

  /** Items a second; null while it is not known. */
  get rate() {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    const seconds = first ? (last.now - first.now) / 1000 : 0;
    return seconds > 0 ? (last.processed - first.processed) / seconds : null;
  }

  /** Return the seconds until so many items are done; null while that is not known. */
  left(total) {
    const rate = this.rate;
    return rate ? (total - this.#seen.at(-1).processed) / rate : null;
  }
}
