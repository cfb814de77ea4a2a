/** Lines of downloads: an item with the reason why it was not applied, as NDJSON or as a row. */

const NAMES = ["index", "line", "case_Key", "status", "reason"];
/** A cell that a spreadsheet would take for a formula: it is given an apostrophe, as spreadsheets themselves do. */
const FORMULA = /^[=+\-@\t\r]/;

/** Return an item as a line of JSON: as it was sent, with a few members more, or only its key and reason if there is no file. */
export function jsonLine(item, text, isRow) {
  const { index, line: number, status, body } = item;
  if (text === null) return line({ index, line: number, case_Key: item.key, status, reason: body });
  const added = { _index: index, _line: number, _status: status, _reason: body };
  if (isRow) return line({ ...added, _row: text });
  // members that are no fields are ignored, so that a mended line can be sent as it is
  const sent = text.replace(/\s*[\r\n]+\s*/g, " ");
  if (!sent.startsWith("{")) return line({ ...added, _item: text });
  const members = sent.slice(1, -1).trim();
  return `{${members}${members && ", "}${JSON.stringify(added).slice(1)}\n`;
}

/** Rows of failed items. `isFile`: they are what comes behind the rows of a file; `fields` are the columns for items of JSON. `hasLines`: the items were rows. */
export class Rows {
  #separator;
  #isFile;
  #fields;
  #names;

  constructor({ delimiter = ",", isFile = false, fields = null, hasLines = false }) {
    this.#names = NAMES.filter((name) => hasLines || name !== "line");
    [this.#separator, this.#isFile, this.#fields] = [delimiter, isFile, fields];
  }

  /** The header row. */
  get first() {
    if (this.#isFile) return `${this.#separator}${this.#added.join(this.#separator)}\r\n`;
    return this.#row(this.#fields ? [...this.#fields, ...this.#added] : this.#names);
  }

  /** Return the row of an item; `text` is the item as it was sent, null if there is no file. */
  of(item, text) {
    const values = { ...item, case_Key: item.key, reason: item.body };
    if (text === null) return this.#row(this.#names.map((name) => values[name]));
    const reason = this.#withSent.map((name) => values[name]);
    if (this.#isFile) return `${this.#separator}${this.#row(reason)}`;
    const sent = parsed(text);
    return this.#row([...this.#fields.map((field) => sent[field]), ...reason]);
  }

  /** The names that are added to an item as it was sent. */
  get #withSent() {
    return this.#names.filter((name) => name !== "case_Key");
  }

  get #added() {
    return this.#withSent.map((name) => `_${name}`);
  }

  #row(cells) {
    return `${cells.map((value) => this.#cell(value)).join(this.#separator)}\r\n`;
  }

  #cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return typeof value === "object" ? quoted(JSON.stringify(value)) : String(value);
    const safe = FORMULA.test(value) ? `'${value}` : value;
    return /[",;|\t\r\n]/.test(safe) || safe.includes(this.#separator) ? quoted(safe) : safe;
  }
}

const line = (value) => `${JSON.stringify(value)}\n`;

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // an item that is no JSON has no fields
  }
}
