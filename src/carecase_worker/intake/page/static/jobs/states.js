/** The states of a job, and its counts. */

import { counted, number } from "../format.js";

const TEXTS = {
  queued: ["Queued", "It is accepted and waits for a worker."],
  running: ["Running", "Its items are being applied."],
  waiting: ["Waiting", "The target database does not answer. The job goes on by itself as soon as it does."],
  cancelling: ["Cancelling", "What has not been applied is being cancelled."],
  completed: ["Completed", ""],
  cancelled: ["Cancelled", "It was cancelled. What had been applied before stays."],
};

export const STATES = Object.keys(TEXTS);
export const COUNTS = ["created", "updated", "superseded", "failed", "cancelled"];

export const isFinal = (job) => job.state === "completed" || job.state === "cancelled";

export const nameOf = (state) => TEXTS[state]?.[0] ?? state;

/** Return a sentence on where a job stands. */
export function meaningOf(job) {
  if (job.dryRun) return isFinal(job) ? "Nothing was applied: this was a dry run." : "A dry run: nothing of it is applied.";
  if (job.state !== "completed") return TEXTS[job.state]?.[1] ?? "";
  if (job.superseded) return `Of ${counted(job.total, "item")}, ${partsOf(job)}.`;
  if (!job.failed) return `${job.total === 1 ? "The item is" : `All ${counted(job.total, "item")} are`} applied.`;
  return job.failed === job.total ? "No item is applied." : `${counted(job.failed, "item")} failed, the others are applied.`;
}

/** Return how many items became what, of a job of which some were superseded. */
function partsOf({ created, updated, superseded, failed }) {
  const parts = [[created + updated, "applied"], [superseded, "superseded by a batch that was accepted later"], [failed, "failed"]];
  return parts.filter(([count]) => count).map(([count, what]) => `${number(count)} ${what}`).join(", ");
}
