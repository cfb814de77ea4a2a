/** The items of a job that were not applied, page by page and in order, at a pace that leaves the client its rate. */

import { patiently, pause } from "../pauses.js";

export const PAGE_ITEMS = 1000;
const BETWEEN_PAGES_S = 0.1;

/** Yield pages of a final job's items with an outcome; `from` is the number of the first page. */
export async function* pagesOf(api, job, { outcome = "failed", from = 1, signal }) {
  const pages = Math.ceil(job[outcome] / PAGE_ITEMS);
  for (let page = from; page <= pages; page += 1) {
    const read = () => api.items(job.jobId, { outcome, page, pageSize: PAGE_ITEMS }, signal);
    yield await patiently(read, { signal });
    if (page < pages) await pause(BETWEEN_PAGES_S, signal);
  }
}
