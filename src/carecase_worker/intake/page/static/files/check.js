/** The check of a file before it is sent: the service holds each item to its rules (`validateOnly`) and keeps nothing. */

import { Fault, FileFault } from "../faults.js";
import { FaultGroups } from "../jobs/groups.js";
import { patiently } from "../pauses.js";
import { canSplit } from "./formats.js";
import { itemsOf } from "./items.js";

/** The most items that one request may have checked. */
const MOST_ITEMS = 20_000;
const MOST_BYTES = 16 << 20;

/**
 * Check all items of a file, part by part. Returns their number and the groups of their faults; `onProgress` gets
 * the items that were checked so far, and `onWait` of a service that does not answer. Raises Fault, FileFault.
 */
export async function checked(api, { file, format, target }, { signal, onProgress, onWait }) {
  const groups = new FaultGroups();
  let total = 0;
  for await (const part of partsOf(file, format, signal)) {
    const outcomes = await patiently(() => api.check(target, part.headers, part.body, { mapping: format.mapping, signal }), { signal, onWait });
    const faulty = outcomes.map((outcome, place) => ({ ...outcome, index: total + place })).filter(({ status }) => status !== 200);
    groups.add(faulty);
    total += outcomes.length;
    onProgress(total, groups);
  }
  if (!total) throw new FileFault("The file has no cases. Choose another one.");
  return { total, groups };
}

/** True if the check refused the file only because it cannot be taken apart here. */
export const isTooLargeToCheck = (fault, format) => fault instanceof Fault && fault.status === 413 && !canSplit(format);

/**
 * Yield bodies of so many items, each a whole file of its kind, in which each item is in the line where the file has it.
 * What a browser cannot take apart goes as it is.
 */
async function* partsOf(file, format, signal) {
  if (!canSplit(format)) {
    yield { headers: format.headers, body: file };
    return;
  }
  const headers = { "Content-Type": format.headers["Content-Type"] };
  const { skipped, hasHeader, last } = format.rows ?? { skipped: 0, hasHeader: false, last: 0 };
  const [lead, buffered] = [[], []];
  let [items, size, wasGiven] = [[], 0, false];
  const body = () => new Blob([...(format.form === "array" ? arrayOf(items) : linesOf(lead, items, last))]);
  for await (const group of itemsOf(file, format, { signal })) {
    for (const one of group) {
      if (lead.length < skipped + hasHeader) {
        lead.push(one);
        continue;
      }
      buffered.push(one); // the last ones are no items
      if (buffered.length <= last) continue;
      const item = buffered.shift();
      if (items.length && (items.length === MOST_ITEMS || size + item.length > MOST_BYTES)) {
        yield { headers, body: body() };
        wasGiven = true;
        [items, size] = [[], item.line];
      }
      items.push(item);
      size += item.length;
    }
  }
  if (items.length) yield { headers, body: body() };
  // an open quote may have taken in all rows: the service says where
  else if (!wasGiven && format.rows && file.size <= MOST_BYTES) yield { headers: format.headers, body: file };
}

function* arrayOf(items) {
  for (let place = 0; place < items.length; place += 1) {
    yield place ? "," : "[";
    yield items[place];
  }
  yield "]";
}

/** Yield lines, with blank ones in place of those that are not in this part; behind them as many more as the service leaves out. */
function* linesOf(lead, items, last) {
  let next = 1;
  for (const lines of [lead, items, Array(last).fill(items.at(-1))]) {
    for (const line of lines) {
      yield "\n".repeat(Math.max(0, line.line - next));
      yield line;
      yield "\n";
      next = line.next;
    }
  }
}
