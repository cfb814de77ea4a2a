/** The view of one job: how it goes, what failed and why, and what can be done about it. */

import { element, setText } from "../dom.js";
import { counted, shortId } from "../format.js";
import { actions } from "../jobs/actions.js";
import { details } from "../jobs/details.js";
import { dryRunMark } from "../jobs/dry-run.js";
import { faultsPart } from "../jobs/faults.js";
import { progress } from "../jobs/progress.js";
import { isFinal, nameOf } from "../jobs/states.js";
import { whatWouldBe, wouldBePart } from "../jobs/would-be.js";
import { noticePlace, showFault } from "../notice.js";
import { addressOf, jobAddress } from "../router.js";
import { watch } from "../watch.js";

const POLL_S = 1;

/** Make the view. It is kept up to date until the job is final, or `signal` is aborted. */
export function jobView({ api, sent, announce }, { rest: [id] }, signal) {
  const notices = noticePlace();
  const state = element("span", { class: "state" });
  const mark = dryRunMark();
  mark.hidden = true;
  const content = element("div", { class: "job" }, element("p", { class: "summary" }, "Loading …"));
  const known = sent.get(id) ?? null;
  let [parts, tag, latest] = [null, null, null];

  function show(job) {
    notices.clear();
    parts ??= begin(job);
    const wasRunning = latest && !isFinal(latest);
    latest = job;
    state.className = `state ${job.state}`;
    setText(state, nameOf(job.state));
    for (const part of [parts.progress, parts.details, parts.actions]) part.update(job);
    if (!isFinal(job)) return false;
    if (wasRunning && job.dryRun) announce("The dry run has ended.");
    else if (wasRunning) announce(`The job is ${job.state}: ${counted(job.created + job.updated, "item")} applied, ${job.superseded} superseded, ${job.failed} failed, ${job.cancelled} cancelled.`);
    if (job.failed && !parts.hasFaults) {
      parts.hasFaults = true;
      const onGroups = (groups) => parts.actions.update(latest, groups);
      parts.actions.node.after(faultsPart({ api, job, source: known, signal, onGroups }));
    }
    return true;
  }
  function begin(job) {
    const made = { progress: progress(), details: details(), actions: actions({ api, signal, onJob: goOn }) };
    content.replaceChildren(made.progress.node, made.actions.node, made.details.node);
    if (job.dryRun) showWouldBe(made.progress.node);
    return made;
  }
  function showWouldBe(place) {
    const shown = wouldBePart();
    place.append(shown.node);
    mark.hidden = false;
    const onEvent = (_, found) => shown.update(found);
    whatWouldBe(api, id, { signal, onEvent, onWait: () => {} }).catch((fault) => {
      if (!signal.aborted) showFault(notices, fault, null);
    });
  }
  function goOn(job) {
    if (job.jobId === latest.jobId) show(job);
    else location.hash = jobAddress(job.jobId);
  }

  watch({
    async read(left) {
      const response = await api.job(id, { tag, signal: left });
      if (response) tag = response.tag;
      return response?.job ?? latest;
    },
    events: (left) => api.events(id, left),
    everyS: POLL_S,
    signal,
    onValue: show,
    onEvent: ({ name, data }) => (name === "progress" ? void show(data) : name === "final"),
    onFault(fault, seconds) {
      if (seconds === null && !parts) content.replaceChildren();
      showFault(notices, fault, seconds);
    },
  });
  const repeated = known?.repeated && element("div", { class: "notice" }, element("p", {},
    `${known.file.name} had been accepted before, as this job, so nothing was sent twice. To apply it once more, `,
    element("a", { href: addressOf("send", { again: id }) }, "send it as a new batch"), "."));
  return element("div", {},
    element("p", { class: "back" }, element("a", { href: addressOf("jobs") }, "All jobs")),
    element("div", { class: "heading" },
      element("h1", { tabindex: -1 }, "Job ", element("code", {}, shortId(id)), mark, known && element("span", { class: "file-name" }, known.file.name)), state),
    repeated, notices.node, content);
}
