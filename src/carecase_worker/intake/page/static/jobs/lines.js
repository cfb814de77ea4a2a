/** Lines of downloads: an item with the reason why it was not applied, as NDJSON or as a row. */

const REASON = ["_index", "_status", "_reason"];
const NO_FILE = ["index", "case_Key", "status", "reason"];
/** A cell that a spreadsheet would take for a formula: it is given an apostrophe, as spreadsheets themselves do. */
const FORMULA = /^[=+\-@\t\r]/;

/** Return an item as a line of JSON: as it was sent, with three members more, or only told of if there is no file. */
export function jsonLine(item, text, isRow) {
  const { index, status, body } = item;
  if (text === null) return line({ index, case_Key: item.key, status, reason: body });
  const added = { _index: index, _status: status, _reason: body };
  if (isRow) return line({ ...added, _row: text });
  // members that are no fields are ignored, so that a mended line can be sent as it is
  const sent = text.replace(/\s*[\r\n]+\s*/g, " ");
  if (!sent.startsWith("{")) return line({ ...added, _item: text });
  const members = sent.slice(1, -1).trim();
  return `{${members}${members && ", "}${JSON.stringify(added).slice(1)}\n`;
}

/** Rows of failed items. `header` is that of the file if it has one; `fields` are the columns for items of JSON. */
export class Rows {
  #separator;
  #header;
  #fields;

  constructor({ form = "csv", header = null, fields = null }) {
    this.#separator = form === "tsv" ? "\t" : ",";
    this.#header = header;
    this.#fields = fields;
  }

  /** The header row. */
  get first() {
    if (this.#header !== null) return `${this.#header}${this.#separator}${REASON.join(this.#separator)}\r\n`;
    return this.#row(this.#fields ? [...this.#fields, ...REASON] : NO_FILE);
  }

  /** Return the row of an item; `text` is the item as it was sent, null if there is no file. */
  of(item, text) {
    const reason = [item.index, item.status, item.body];
    if (text === null) return this.#row([item.index, item.key, item.status, item.body]);
    if (this.#header !== null) return `${text}${this.#separator}${this.#row(reason)}`;
    const sent = parsed(text);
    return this.#row([...this.#fields.map((field) => sent[field]), ...reason]);
  }

  #row(cells) {
    return `${cells.map((value) => this.#cell(value)).join(this.#separator)}\r\n`;
  }

  #cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return typeof value === "object" ? quoted(JSON.stringify(value)) : String(value);
    const safe = FORMULA.test(value) ? `'${value}` : value;
    return /[",;\t\r\n]/.test(safe) ? quoted(safe) : safe;
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
