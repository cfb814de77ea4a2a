/** Formats of files: recognised by their first bytes, and by their names where the bytes do not decide. */

import { FileFault } from "../faults.js";

const MEDIA_TYPES = {
  array: "application/json",
  lines: "application/x-ndjson",
  csv: "text/csv",
  tsv: "text/tab-separated-values",
};
const BY_NAME = [
  [/\.(csv|psv|txt|dat)$/i, "csv"],
  [/\.(tsv|tab)$/i, "tsv"],
  [/\.(ndjson|jsonl)$/i, "lines"],
  [/\.json$/i, "array"],
];
const PACKED = /\.(gz|zst)$/i;

const FIXED = "text/plain";
const FHIR = "application/fhir+ndjson";
const ROWS = new Set([MEDIA_TYPES.csv, MEDIA_TYPES.tsv, FIXED]);

/** The largest part of a file that is looked at. */
const LOOK_BYTES = 64 << 10;

/** The rows of a file whose columns are named as the fields; a delimiter of null is recognised in the header row. */
const PLAIN_ROWS = { skipped: 0, hasHeader: true, last: 0, delimiter: null, isQuoted: true };

/**
 * Return a file's form (array, lines, csv or tsv), its encoding and charset, the headers to send it with, and `rows` if
 * it has any: what is before and behind them, and what is between their cells. Raises FileFault.
 */
export async function formatOf(file) {
  const head = await bytesOf(file.slice(0, LOOK_BYTES));
  const encoding = encodingOf(head);
  const named = BY_NAME.find(([pattern]) => pattern.test(file.name.replace(PACKED, "")))?.[1];
  const isKnown = /\.(csv|tsv)$/i.test(file.name.replace(PACKED, "")) || !canUnpack(encoding);
  const form = isKnown ? named : formOf(encoding ? await unpacked(file, encoding) : head, named);
  if (!form) throw new FileFault("This is not a file of cases. Choose JSON (an array), NDJSON (a case a line) or a file of rows, as CSV; each may be packed as .gz or .zst.");
  const headers = { "Content-Type": MEDIA_TYPES[form], ...(encoding && { "Content-Encoding": encoding }) };
  const rows = { csv: PLAIN_ROWS, tsv: { ...PLAIN_ROWS, delimiter: "\t" } }[form] ?? null;
  return { form, encoding, charset: "utf-8", headers, rows, mapping: null };
}

/** True if a mapping of the client may be for files of a format. */
export function fits({ form, rows }, { mediaType }) {
  return rows ? ROWS.has(mediaType) : form === "lines" && mediaType === FHIR;
}

/** Return the format of a file that goes by a mapping; null is none. */
export function mapped(format, mapping) {
  if (!mapping) return format;
  const isTabbed = format.form === "tsv" && mapping.mediaType === MEDIA_TYPES.csv;
  const headers = { ...format.headers, "Content-Type": isTabbed ? MEDIA_TYPES.tsv : mapping.mediaType };
  const rows = format.rows && {
    skipped: mapping.skippedLines,
    hasHeader: mapping.hasHeader,
    last: mapping.skippedLastLines,
    delimiter: isTabbed ? "\t" : mapping.delimiter,
    isQuoted: mapping.mediaType !== FIXED,
  };
  return { ...format, charset: mapping.encoding, headers, rows, mapping: mapping.name };
}

/** True if the browser can take a file apart: unpack it, and find the ends of lines in its bytes. */
export const canSplit = ({ encoding, charset }) => canUnpack(encoding) && charset !== "utf-16";

/** True if the browser can unpack an encoding. All unpack gzip; few unpack zstd. */
export function canUnpack(encoding) {
  try {
    return !encoding || Boolean(new DecompressionStream(encoding));
  } catch {
    return false;
  }
}

/** Return the bytes of a file as they are before packing, as a stream. */
export function contentOf(file, encoding) {
  return encoding ? file.stream().pipeThrough(new DecompressionStream(encoding)) : file.stream();
}

/** Read a part of a file. Raises FileFault if the file cannot be read any more. */
export async function bytesOf(part) {
  try {
    return new Uint8Array(await part.arrayBuffer());
  } catch {
    throw new FileFault("The file cannot be read: it was changed, moved or removed since it was chosen. Choose it again.");
  }
}

function encodingOf([first, second, third, fourth]) {
  if (first === 0x1f && second === 0x8b) return "gzip";
  if (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd) return "zstd";
  return null;
}

/** Return the form of a file by its beginning, or else by its name; text that is neither is taken for rows. */
function formOf(head, named) {
  const text = new TextDecoder().decode(head).trimStart();
  return { "[": "array", "{": "lines" }[text[0]] ?? named ?? (text.includes("\0") ? null : "csv");
}

async function unpacked(file, encoding) {
  const reader = contentOf(file, encoding).getReader();
  try {
    return (await reader.read()).value ?? new Uint8Array();
  } catch {
    throw new FileFault(`The file begins like one that ${encoding} has packed, but cannot be unpacked. Pack it again.`);
  } finally {
    reader.cancel().catch(() => {});
  }
}
