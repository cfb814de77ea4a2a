/** Downloads of failed items, each with its reason: as they were sent if the file is at hand, else by key and reason. */

import { FileFault } from "../faults.js";
import { SentItems } from "../files/sent.js";
import { delimiterIn } from "../files/splitting.js";
import { pagesOf } from "./failures.js";
import { jsonLine, Rows } from "./lines.js";

const PART_CHARACTERS = 1 << 20;
const TYPES = { csv: "text/csv", ndjson: "application/x-ndjson" };

/**
 * Make a file of a job's failed items, as csv or ndjson. `source` is the file that was sent, with its format, or null.
 * Raises FileFault if it is another file.
 */
export async function failedItems(api, job, { source, as, signal, onProgress }) {
  const sent = source && new SentItems(source, signal);
  const parts = new Parts(TYPES[as]);
  const lines = as === "csv" ? await rowsOf(api, source, { lead: await sent?.lead(), signal }) : linesOf(source?.format);
  let count = 0;
  for await (const page of pagesOf(api, job, { signal })) {
    if (!count) parts.add(...lines.before(page.some(({ line }) => line)));
    for (const one of page) {
      const item = { ...one, key: one.id[0].value };
      parts.add(...lines.of(item, sent && (await sent.at(item))));
    }
    count += page.length;
    onProgress(count);
  }
  const behind = (await sent?.finish(job.total)) ?? [];
  if (as === "csv") parts.add(...behind.flatMap(ended));
  return parts.blob();
}

/** Return lines of NDJSON. Raises FileFault if the browser cannot read the rows of the file as text. */
function linesOf(format) {
  const decoder = decoderOf(format?.charset);
  return {
    before: () => [],
    of: (item, bytes) => [jsonLine(item, bytes && decoder.decode(bytes), Boolean(format?.rows))],
  };
}

/** Return rows: those of a file as its bytes are, so that what was skipped around them is there, too, and it can be sent by the same mapping. */
async function rowsOf(api, source, { lead, signal }) {
  const { rows } = source?.format ?? {};
  if (rows && !rows.hasHeader) return { before: () => lead.flatMap(ended), of: (_, bytes) => ended(bytes) };
  const header = rows ? textOf(lead.at(-1)) : null;
  const fields = source && !rows ? await api.fields(signal) : null;
  let writer = null;
  return {
    before(hasLines) {
      writer = new Rows({ delimiter: rows?.delimiter ?? (header === null ? "," : delimiterIn(header)), isFile: Boolean(rows), fields, hasLines });
      return rows ? [...lead.slice(0, -1).flatMap(ended), lead.at(-1), writer.first] : [writer.first];
    },
    of: (item, bytes) => (rows ? [bytes, writer.of(item, "")] : [writer.of(item, textOf(bytes))]),
  };
}

const ended = (bytes) => [bytes, "\r\n"];

function decoderOf(charset = "utf-8") {
  try {
    return new TextDecoder({ "mac-roman": "macintosh", "shift-jis": "shift_jis" }[charset] ?? charset);
  } catch {
    throw new FileFault(`This browser cannot read ${charset}. Download the rows as they are in the file instead.`);
  }
}

/** Have the browser save a blob as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Text that grows: the browser may put what is complete on disk. */
class Parts {
  #type;
  #blobs = [];
  #texts = [];
  #size = 0;

  constructor(type) {
    this.#type = type;
  }

  add(...texts) {
    this.#texts.push(...texts.map((text) => (typeof text === "string" ? text : text.slice()))); // a view keeps its whole piece of the file
    for (const { length } of texts) this.#size += length;
    if (this.#size >= PART_CHARACTERS) this.#flush();
  }

  blob() {
    this.#flush();
    return new Blob(this.#blobs, { type: this.#type });
  }

  #flush() {
    this.#blobs.push(new Blob(this.#texts));
    [this.#texts, this.#size] = [[], 0];
  }
}

const textOf = (bytes) => bytes && new TextDecoder().decode(bytes);
