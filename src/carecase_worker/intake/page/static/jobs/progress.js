/** The progress of a job: bar, pace, time left, and a count for each outcome. */

import { element, setText } from "../dom.js";
import { counted, duration, number } from "../format.js";
import { bar } from "./bar.js";
import { Pace } from "./pace.js";
import { COUNTS, isFinal, meaningOf } from "./states.js";

/** Make the part of the page; `update` shows a job as it stands. */
export function progress(now = () => performance.now()) {
  const pace = new Pace();
  const shownBar = bar();
  const line = element("p", { class: "pace" });
  const meaning = element("p", { class: "lead" });
  const counts = COUNTS.map((name) => [name, element("dd", {})]);
  const list = element("dl", { class: "counts" }, counts.map(([name, count]) =>
    element("div", { class: `count ${name}` }, element("dt", {}, name[0].toUpperCase() + name.slice(1)), count)));
  const node = element("section", { class: "progress", "aria-label": "Progress" }, meaning, shownBar.node, line, list);
  return {
    node,
    update(job) {
      list.hidden = Boolean(job.dryRun); // it has counts of its own
      if (!isFinal(job)) pace.note(job.processed, now());
      shownBar.update(job);
      setText(meaning, meaningOf(job));
      setText(line, isFinal(job) ? tookOf(job) : paceOf(job, pace));
      for (const [name, count] of counts) {
        setText(count, number(job[name]));
        count.parentElement.classList.toggle("none", !job[name]);
      }
    },
  };
}

function paceOf(job, pace) {
  const [rate, left] = [pace.rate, pace.left(job.total)];
  const parts = [`${number(job.processed)} of ${counted(job.total, "item")}`];
  if (rate) parts.push(`${number(rate < 10 ? Number(rate.toPrecision(1)) : Math.round(rate))} a second`);
  if (left) parts.push(`about ${duration(Math.max(left, 1))} left`);
  return parts.join(" · ");
}

function tookOf(job) {
  const seconds = (new Date(job.finishedAt) - new Date(job.startedAt ?? job.submittedAt)) / 1000;
  const rate = seconds >= 1 ? ` · ${number(Math.round(job.total / seconds))} a second` : "";
  return `${counted(job.total, "item")} in ${seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)}${rate}`;
}
