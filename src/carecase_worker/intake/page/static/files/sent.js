/** The items of a file that was sent, found again by their indices. */

import { FileFault } from "../faults.js";
import { itemsOf } from "./items.js";

const OTHER_FILE = "This is not the file that was sent as this job. Choose the one that was.";

/** A file that is read once, from its beginning to its end: indices may only grow. */
export class SentItems {
  #groups;
  #group = [];
  #first = 0;
  #lead = [];
  #format;

  constructor({ file, format }, signal) {
    this.#groups = itemsOf(file, format, { signal });
    this.#format = format;
  }

  /** Return the bytes of the lines before the first row: those that are skipped, and the header row. Raises FileFault. */
  async lead() {
    const { skipped, hasHeader } = this.#format.rows ?? { skipped: 0, hasHeader: false };
    while (this.#lead.length < skipped + hasHeader) {
      if (!this.#group.length) await this.#more();
      this.#lead.push(...this.#group.splice(0, skipped + hasHeader - this.#lead.length));
    }
    return this.#lead;
  }

  /** Return the bytes of an item. Raises FileFault if the file is another one. */
  async at({ index, key }) {
    await this.lead();
    while (index >= this.#first + this.#group.length) await this.#more();
    const bytes = this.#group[index - this.#first];
    if (!this.#format.mapping && key !== null) (this.#format.rows ? requireDigits : requireKey)(bytes, key);
    return bytes;
  }

  /** Read the rest; return the bytes of the rows behind the last item. Raises FileFault if the file has not so many items. */
  async finish(total) {
    await this.lead();
    while (this.#first + this.#group.length < total) await this.#more();
    const [last, behind] = [this.#format.rows?.last ?? 0, this.#group.slice(total - this.#first)];
    for await (const group of this.#groups) {
      behind.push(...group);
      if (behind.length > last) break;
    }
    if (behind.length !== last) throw new FileFault(OTHER_FILE);
    return behind;
  }

  async #more() {
    const { done, value } = await this.#groups.next();
    if (done) throw new FileFault(OTHER_FILE);
    this.#first += this.#group.length;
    this.#group = value;
  }
}

/** Raise FileFault if a row has the number of another key, however it is written. */
function requireDigits(bytes, key) {
  if (!new TextDecoder().decode(bytes).includes(String(Math.abs(key)))) throw new FileFault(OTHER_FILE);
}

/** Raise FileFault if an item has another key than the one that was sent at its place. */
function requireKey(bytes, key) {
  let item;
  try {
    item = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return; // an item that is no JSON was refused for that
  }
  if (item?.case_Key !== key) throw new FileFault(OTHER_FILE);
}
