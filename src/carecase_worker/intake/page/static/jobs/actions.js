/** What can be done with a job: cancel what is left, send again what failed for a reason outside itself. */

import { confirmed } from "../dialog.js";
import { element, setText } from "../dom.js";
import { counted, number } from "../format.js";
import { noticePlace, showFault } from "../notice.js";
import { isFinal } from "./states.js";

/** Make the buttons; `update` shows those that a job, and the groups of its faults, allow. */
export function actions({ api, signal, onJob }) {
  const notices = noticePlace(); // of their own: what is shown of the job's state goes with the next event
  const cancel = element("button", { type: "button", class: "danger", hidden: true }, "Cancel what is left");
  const retry = element("button", { type: "button", hidden: true });
  let [job, again, isCounted] = [null, 0, true];

  async function act(button, question, call) {
    if (!(await confirmed(question(), signal))) return;
    button.disabled = true;
    notices.clear();
    try {
      onJob(await call(job.jobId));
    } catch (fault) {
      showFault(notices, fault, null);
    }
    button.disabled = false;
  }
  cancel.addEventListener("click", () => act(cancel, () => ({
    title: `Cancel ${counted(job.total - job.processed, "item")}?`,
    text: `${counted(job.total - job.processed, "item")} of this job ${job.total - job.processed === 1 ? "has" : "have"} not been applied and will be cancelled. What is applied stays: ${counted(job.processed, "item")}.`,
    yes: `Cancel ${counted(job.total - job.processed, "item")}`,
    no: "Let the job go on",
  }), (id) => api.cancel(id)));
  retry.addEventListener("click", () => act(retry, () => ({
    title: isCounted ? `Send ${counted(again, "item")} again?` : "Send what can be sent again?",
    text: `${isCounted ? "" : "At least "}${counted(again, "item")} failed for a reason outside the items, or ${again === 1 ? "was" : "were"} cancelled. A new job is made of ${isCounted ? "them" : "all such items"}; it counts as accepted now, after all that was accepted before it.`,
    yes: isCounted ? `Send ${counted(again, "item")} again` : "Send them again",
  }), (id) => api.retry(id)));

  return {
    node: element("div", { class: "actions" }, element("div", { class: "row" }, cancel, retry), notices.node),
    update(latest, groups) {
      job = latest;
      again = groups?.whole && groups.retryable + job.cancelled ? job.total : (groups?.retryable ?? 0) + job.cancelled;
      cancel.hidden = isFinal(job) || job.state === "cancelling";
      isCounted = !job.failed || groups?.items === job.failed;
      retry.hidden = job.dryRun || !isFinal(job) || !again;
      setText(retry, isCounted ? `Send ${number(again)} again` : "Send what can be sent again");
    },
  };
}
