/** The states of a job, and its counts. */

const TEXTS = {
  queued: ["Queued", "It is accepted and waits for a worker."],
  running: ["Running", "Its items are being applied."],
  waiting: ["Waiting", "The target database does not answer. The job goes on by itself as soon as it does."],
  cancelling: ["Cancelling", "What has not been applied is being cancelled."],
  completed: ["Completed", "Each item has its outcome."],
  cancelled: ["Cancelled", "It was cancelled before all items were applied."],
};

export const STATES = Object.keys(TEXTS);
export const COUNTS = ["created", "updated", "superseded", "failed", "cancelled"];

export const isFinal = (job) => job.state === "completed" || job.state === "cancelled";

export const nameOf = (state) => TEXTS[state]?.[0] ?? state;

export const meaningOf = (state) => TEXTS[state]?.[1] ?? "";
