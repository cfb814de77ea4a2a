/** The items of a file, in order: read, unpacked and split in slices, so that the page stays usable. */

import { FileFault } from "../faults.js";
import { breathe } from "../pauses.js";
import { contentOf } from "./formats.js";
import { splitterOf } from "./splitting.js";

const SLICE_BYTES = 256 << 10;
const SLICE_MS = 12;

/** Yield groups of a file's items as bytes; of a file of rows, skipped lines and header row come first. Raises FileFault. */
export async function* itemsOf(file, format, { signal, onRead = () => {} } = {}) {
  const splitter = splitterOf(format);
  let [read, drawn] = [0, performance.now()];
  for await (const slice of slicesOf(file, format.encoding)) {
    signal?.throwIfAborted();
    yield splitter.feed(slice);
    read += slice.length;
    if (performance.now() - drawn > SLICE_MS) {
      onRead(read);
      await breathe();
      drawn = performance.now();
    }
  }
  yield splitter.finish();
}

async function* slicesOf(file, encoding) {
  const reader = contentOf(file, encoding).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new FileFault(encoding
          ? "The browser cannot unpack the file. If it is whole, send it without a check, or check it with: carecase submit --validate-only"
          : "The file cannot be read: it was changed, moved or removed since it was chosen. Choose it again.");
      });
      if (done) return;
      for (let start = 0; start < value.length; start += SLICE_BYTES) yield value.subarray(start, start + SLICE_BYTES);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
