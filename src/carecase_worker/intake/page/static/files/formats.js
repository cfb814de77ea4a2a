/** Formats of files: told by their first bytes, and by their names where these do not tell. */

import { FileFault } from "../faults.js";

const MEDIA_TYPES = {
  array: "application/json",
  lines: "application/x-ndjson",
  csv: "text/csv",
  tsv: "text/tab-separated-values",
};
const BY_NAME = [
  [/\.csv$/i, "csv"],
  [/\.(tsv|tab)$/i, "tsv"],
  [/\.(ndjson|jsonl)$/i, "lines"],
  [/\.json$/i, "array"],
];
const PACKED = /\.(gz|zst)$/i;

/** The largest part of a file that is looked at. */
const LOOK_BYTES = 64 << 10;

/** Return a file's form (array, lines, csv or tsv), its encoding and the headers to send it with. Raises FileFault. */
export async function formatOf(file) {
  const head = await bytesOf(file.slice(0, LOOK_BYTES));
  const encoding = encodingOf(head);
  const named = BY_NAME.find(([pattern]) => pattern.test(file.name.replace(PACKED, "")))?.[1];
  const isRows = named === "csv" || named === "tsv";
  const form = isRows || !canUnpack(encoding) ? named : (formOf(encoding ? await unpacked(file, encoding) : head) ?? named);
  if (!form) throw new FileFault("This is not a file of cases. Choose JSON (an array), NDJSON (a case a line) or CSV; each may be packed as .gz or .zst.");
  const headers = { "Content-Type": MEDIA_TYPES[form], ...(encoding && { "Content-Encoding": encoding }) };
  return { form, encoding, headers, isRows };
}

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

function formOf(head) {
  const text = new TextDecoder().decode(head).trimStart();
  return { "[": "array", "{": "lines" }[text[0]];
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
