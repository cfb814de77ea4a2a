/** The items of a file that was sent, found again by their indices. */

import { FileFault } from "../faults.js";
import { itemsOf } from "./items.js";

const OTHER_FILE = "This is not the file that was sent as this job. Choose the one that was.";

/** A file that is read once, from its beginning to its end: indices may only grow. */
export class SentItems {
  #groups;
  #group = [];
  #first = 0;
  #header;

  constructor({ file, format }, signal) {
    this.#groups = itemsOf(file, format, { signal });
    this.#header = format.isRows ? undefined : null;
  }

  /** Return the bytes of the header row; null if the file has none. Raises FileFault. */
  async header() {
    while (this.#header === undefined) {
      await this.#more();
      if (this.#group.length) [this.#header, ...this.#group] = this.#group;
    }
    return this.#header;
  }

  /** Return the bytes of an item. Raises FileFault if the file is another one. */
  async at({ index, key }) {
    await this.header();
    while (index >= this.#first + this.#group.length) await this.#more();
    const bytes = this.#group[index - this.#first];
    if (this.#header === null && key !== null) requireKey(bytes, key);
    return bytes;
  }

  /** Read the rest. Raises FileFault if the file has not so many items. */
  async finish(total) {
    await this.header();
    while (this.#first + this.#group.length < total) await this.#more();
    for await (const group of this.#groups) if (group.length) throw new FileFault(OTHER_FILE);
    if (this.#first + this.#group.length !== total) throw new FileFault(OTHER_FILE);
  }

  async #more() {
    const { done, value } = await this.#groups.next();
    if (done) throw new FileFault(OTHER_FILE);
    this.#first += this.#group.length;
    this.#group = value;
  }
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
