/** The sending of a file: repeated until the service has accepted it, always with the same key. */

import { patiently } from "../pauses.js";
import { bytesOf } from "./formats.js";

/** Clocks differ, and an answer takes a while: a job that is older than that was there before. */
const OLD_MS = 5000;

/** Send a file. Returns its job, and if it had been accepted before. Raises Fault, FileFault. */
export async function sent(api, { file, format, target, key, dryRun }, { signal, onProgress, onWait }) {
  async function send() {
    await bytesOf(file.slice(0, 1)); // a file that was changed would look like a service that does not answer
    const headers = { ...format.headers, "Idempotency-Key": key };
    return api.send(target, headers, file, { mapping: format.mapping, dryRun, signal, onProgress });
  }
  const { job, date } = await patiently(send, { signal, onWait });
  return { job, repeated: date !== null && new Date(date) - new Date(job.submittedAt) > OLD_MS };
}
