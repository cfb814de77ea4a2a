/** The details of a job: what it was sent as, and its moments. */

import { element, fill } from "../dom.js";
import { moment } from "../format.js";

/** Make the part of the page; `update` shows a job. */
export function details() {
  const list = element("dl", { class: "details" });
  let shown = "";
  return {
    node: element("section", { "aria-labelledby": "details" }, element("h2", { id: "details" }, "Details"), list),
    update(job) {
      const key = JSON.stringify([job.startedAt, job.finishedAt, job.expiresAt, job.sequence, job.sawSequence]);
      if (key === shown) return; // so that a selection of text stays
      shown = key;
      fill(list, rows(job).filter(([, value]) => value !== null).map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    },
  };
}

function rows(job) {
  return [
    ["Job", element("code", {}, job.jobId)],
    ["Database", job.database],
    ["Care plan", job.carePlanKey === null ? "As each case names it" : String(job.carePlanKey)],
    ["Accepted", when(job.submittedAt)],
    ["Started", when(job.startedAt)],
    ["Finished", when(job.finishedAt)],
    ["Result is kept until", when(job.expiresAt)],
    ["Place in the order", job.sequence === null ? null : String(job.sequence)],
    ["Has seen all batches up to", job.sawSequence == null ? null : `place ${job.sawSequence} in the order`],
    ["SHA-256 of the file", job.bodySha256 && element("code", {}, job.bodySha256)],
  ];
}

const when = (text) => text && element("time", { datetime: text }, moment(text));
