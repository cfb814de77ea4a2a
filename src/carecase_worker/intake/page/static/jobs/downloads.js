/** Downloads of failed items, each with its reason: as they were sent if the file is at hand, else only told of. */

import { SentItems } from "../files/sent.js";
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
  const header = sent && textOf(await sent.header());
  const fields = sent && header === null && as === "csv" ? await api.fields(signal) : null;
  const parts = new Parts(TYPES[as]);
  let [count, rows] = [0, null];
  for await (const page of pagesOf(api, job, { signal })) {
    if (!rows) {
      rows = new Rows({ form: source?.format.form, header, fields, hasLines: page.some(({ line }) => line) });
      if (as === "csv") parts.add(rows.first);
    }
    for (const one of page) {
      const item = { ...one, key: one.id[0].value };
      const text = sent && textOf(await sent.at(item));
      parts.add(as === "csv" ? rows.of(item, text) : jsonLine(item, text, header !== null));
    }
    count += page.length;
    onProgress(count);
  }
  await sent?.finish(job.total);
  return parts.blob();
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

  add(text) {
    this.#texts.push(text);
    this.#size += text.length;
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
