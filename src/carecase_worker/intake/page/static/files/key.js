/** The Idempotency-Key of a file: the same file for the same target gives the same job, also after a reload. */

import { bytesOf } from "./formats.js";
import { joined } from "./splitting.js";

const PART_BYTES = 4 << 20;

/** True if the browser can make digests: it can on https, and on this machine. */
export const canDigest = () => Boolean(globalThis.crypto?.subtle);

/** Make the key: the digest of target and mapping and of the digests of the file's parts, so that no large file is held. */
export async function keyOf(file, { target, mapping }, { signal, onProgress = () => {} } = {}) {
  const digests = [await digest(new TextEncoder().encode(JSON.stringify([target.database, target.carePlan, target.strict, ...(mapping ? [mapping] : [])])))];
  for (let start = 0; start < file.size; start += PART_BYTES) {
    signal?.throwIfAborted();
    digests.push(await digest(await bytesOf(file.slice(start, start + PART_BYTES))));
    onProgress(Math.min(start + PART_BYTES, file.size));
  }
  return `page-${hex(await digest(joined(digests)))}`;
}

/** Make another key for the same file, to send it once more on purpose. */
export const anotherKey = (key) => `${key}-${hex(crypto.getRandomValues(new Uint8Array(8)))}`;

const digest = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
