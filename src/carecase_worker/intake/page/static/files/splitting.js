/** Splitters: bytes come in pieces, the bytes of whole items come out. Nothing of an item is parsed. */

import { FileFault } from "../faults.js";

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, BRACE, END_BRACE, LINE_FEED, RETURN] = [..."\"\\,[]{}\n\r"].map((sign) => sign.charCodeAt(0));
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Make the splitter for a form. */
export function splitterOf(form) {
  if (form === "array") return new ArraySplitter();
  return form === "lines" ? new LineSplitter() : new RowSplitter();
}

/** A splitter that holds the bytes of the item that is not complete yet. */
class Splitter {
  #held = [];
  #isFirst = true;

  /** Return the items that are complete now. */
  feed(piece) {
    let bytes = piece;
    if (this.#isFirst) bytes = withoutMark(piece);
    this.#isFirst = false;
    return this.split(bytes);
  }

  /** Return the item that the end completes, if there is one. */
  finish() {
    return this.complete([], new Uint8Array());
  }

  /** Keep bytes for later. */
  hold(bytes) {
    if (bytes.length) this.#held.push(bytes);
  }

  /** Add an item to `items`, if it is more than white space: what is held, and these bytes. */
  complete(items, bytes) {
    const item = trimmed(this.#held.length ? joined([...this.#held, bytes]) : bytes);
    this.#held = [];
    if (item.length) items.push(item);
    return items;
  }
}

/** The splitter of a JSON array: its elements are those at depth 1. */
class ArraySplitter extends Splitter {
  #depth = 0;
  #inText = false;
  #escaped = false;
  #hasBegun = false;

  split(bytes) {
    const items = [];
    let start = 0;
    for (let place = 0; place < bytes.length; place += 1) {
      const sign = bytes[place];
      if (this.#inText) this.#inside(sign);
      else if (sign === QUOTE) this.#inText = true;
      else if (sign === OPEN || sign === BRACE) {
        if (this.#depth === 0) start = this.#begin(sign, place);
        this.#depth += 1;
      } else if (sign === CLOSE || sign === END_BRACE) {
        this.#depth -= 1;
        if (this.#depth === 0) start = this.#cut(items, bytes, start, place);
      } else if (sign === COMMA && this.#depth === 1) start = this.#cut(items, bytes, start, place);
    }
    if (this.#depth > 0) this.hold(bytes.subarray(start));
    return items;
  }

  finish() {
    if (this.#depth || !this.#hasBegun) throw new FileFault("The file ends before its JSON array does. Make the file again.");
    return [];
  }

  #inside(sign) {
    if (this.#escaped) this.#escaped = false;
    else if (sign === BACKSLASH) this.#escaped = true;
    else if (sign === QUOTE) this.#inText = false;
  }

  #begin(sign, place) {
    if (sign !== OPEN) throw new FileFault("The file is no JSON array. Put [ ] around the cases, or write one case a line as .ndjson.");
    this.#hasBegun = true;
    return place + 1;
  }

  #cut(items, bytes, start, place) {
    this.complete(items, bytes.subarray(start, place));
    return place + 1;
  }
}

/** The splitter of NDJSON: an item a line. */
class LineSplitter extends Splitter {
  split(bytes) {
    const items = [];
    let start = 0;
    for (let end; (end = bytes.indexOf(LINE_FEED, start)) >= 0; start = end + 1) this.complete(items, bytes.subarray(start, end));
    this.hold(bytes.subarray(start));
    return items;
  }
}

/** The splitter of CSV and TSV: an item a row; a line end between quotes is part of a cell. */
class RowSplitter extends Splitter {
  #quoted = false;

  split(bytes) {
    const items = [];
    let start = 0;
    for (let place = 0; place < bytes.length; place += 1) {
      if (bytes[place] === QUOTE) this.#quoted = !this.#quoted;
      else if (bytes[place] === LINE_FEED && !this.#quoted) {
        this.complete(items, bytes.subarray(start, place));
        start = place + 1;
      }
    }
    this.hold(bytes.subarray(start));
    return items;
  }
}

function withoutMark(bytes) {
  return BYTE_ORDER_MARK.every((sign, place) => bytes[place] === sign) ? bytes.subarray(3) : bytes;
}

function trimmed(bytes) {
  const isSpace = (sign) => sign === 0x20 || sign === 0x09 || sign === LINE_FEED || sign === RETURN;
  let [start, end] = [0, bytes.length];
  while (start < end && isSpace(bytes[start])) start += 1;
  while (end > start && isSpace(bytes[end - 1])) end -= 1;
  return bytes.subarray(start, end);
}

export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
