/** Splitters: bytes come in pieces, the bytes of whole items come out. Nothing of an item is parsed. */

import { FileFault } from "../faults.js";

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, BRACE, END_BRACE, LINE_FEED, RETURN] = [..."\"\\,[]{}\n\r"].map((sign) => sign.charCodeAt(0));
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

const SPACES = new Set([..." \t\n\r"].map((sign) => sign.charCodeAt(0)));

/** Make the splitter for a format. */
export function splitterOf({ form, rows, charset }) {
  if (rows) return new RowSplitter(rows, charset);
  return form === "array" ? new ArraySplitter() : new LineSplitter();
}

/**
 * A splitter that holds the bytes of the item that is not complete yet. The bytes of an item have two properties more, if
 * the splitter counts lines: `line`, where it begins in the file, and `next`, where the next one does.
 */
class Splitter {
  #buffered = [];
  #isFirst = true;
  #line = 1;
  #keepsMark;

  constructor(keepsMark = false) {
    this.#keepsMark = keepsMark;
  }

  /** Return the items that are complete now. */
  feed(piece) {
    let bytes = piece;
    if (this.#isFirst && !this.#keepsMark) bytes = withoutMark(piece);
    this.#isFirst = false;
    return this.split(bytes);
  }

  /** Return the item that the end completes, if there is one. */
  finish() {
    return this.complete([], new Uint8Array());
  }

  /** Keep bytes for later. */
  hold(bytes) {
    if (bytes.length) this.#buffered.push(bytes);
  }

  /** Add an item of so many lines to `items`, if it is more than white space: what is held, and these bytes. */
  complete(items, bytes, lines = 1) {
    const line = this.#line;
    this.#line += lines;
    this.add(items, this.#buffered.length ? joined([...this.#buffered, bytes]) : bytes, { line, next: this.#line });
    this.#buffered = [];
    return items;
  }

  /** Add the bytes of an item without the white space around it. */
  add(items, bytes, place) {
    const item = trimmed(bytes);
    if (item.length) items.push(Object.assign(item, place));
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

/**
 * The splitter of files of rows: an item a row, the lines before the first one too; a line end between quotes is part of
 * a cell. Rows keep what is at their ends, since a tab is a delimiter and a blank a place. Those without any value are
 * left out, as the service does.
 */
class RowSplitter extends Splitter {
  #quoted = false;
  #lines = 0;
  #toSkip;
  #isQuoted;
  #blank;

  /** A byte order mark that contradicts the encoding is left for the service to refuse. */
  constructor({ skipped, delimiter, isQuoted }, charset) {
    super(charset !== "utf-8");
    [this.#toSkip, this.#isQuoted] = [skipped, isQuoted];
    if (delimiter || !isQuoted) this.#takeDelimiter(delimiter ?? "");
  }

  split(bytes) {
    const items = [];
    let start = 0;
    for (let place = 0; place < bytes.length; place += 1) {
      if (bytes[place] === QUOTE && this.#isQuoted && !this.#toSkip) this.#quoted = !this.#quoted;
      else if (bytes[place] === LINE_FEED) {
        this.#lines += 1;
        if (this.#quoted) continue;
        this.complete(items, bytes.subarray(start, place), this.#lines);
        [start, this.#lines] = [place + 1, 0];
      }
    }
    this.hold(bytes.subarray(start));
    return items;
  }

  add(items, bytes, place) {
    const row = bytes[bytes.length - 1] === RETURN ? bytes.subarray(0, -1) : bytes;
    if (this.#toSkip) {
      this.#toSkip -= 1;
      items.push(Object.assign(row, place));
    } else if (!row.every((sign) => (this.#blank ?? SPACES).has(sign))) {
      if (!this.#blank) this.#takeDelimiter(delimiterIn(new TextDecoder().decode(row)));
      items.push(Object.assign(row, place));
    }
  }

  #takeDelimiter(delimiter) {
    const between = new TextEncoder().encode(this.#isQuoted ? `${delimiter}"` : delimiter);
    this.#blank = new Set([...SPACES, ...between]);
  }
}

/** Return the delimiter of a file by its header row, as the service recognises it. */
export const delimiterIn = (header) => /[,;\t|]/.exec(header)?.[0] ?? ",";

function withoutMark(bytes) {
  return BYTE_ORDER_MARK.every((sign, place) => bytes[place] === sign) ? bytes.subarray(3) : bytes;
}

function trimmed(bytes) {
  let [start, end] = [0, bytes.length];
  while (start < end && SPACES.has(bytes[start])) start += 1;
  while (end > start && SPACES.has(bytes[end - 1])) end -= 1;
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
