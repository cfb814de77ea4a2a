/** The view of the caller's jobs: newest first, filtered, and live. */

import { element, fill, setText, showEach } from "../dom.js";
import { ago, counted, moment, number, shortId } from "../format.js";
import { bar } from "../jobs/bar.js";
import { dryRunMark } from "../jobs/dry-run.js";
import { isFinal, nameOf, STATES } from "../jobs/states.js";
import { noticePlace, showFault } from "../notice.js";
import { addressOf, isJobId, jobAddress } from "../router.js";
import { watch } from "../watch.js";

const POLL_S = 2;

/** Make the view for the filters of an address. It is kept up to date until `signal` is aborted. */
export function jobsView({ api }, { query }, signal) {
  const wanted = { state: query.get("state") ?? "", database: query.get("database") ?? "", page: Number(query.get("page")) || 1 };
  const notices = noticePlace();
  const list = element("ol", { class: "jobs", "aria-label": "Jobs", hidden: true });
  const summary = element("p", { class: "summary", role: "status" }, "Loading …");
  const pages = element("nav", { class: "pages", "aria-label": "Pages of jobs" });
  const databases = element("datalist", { id: "databases" });
  let [shown, order] = [new Map(), []];

  function show({ jobs, total, pages: last }) {
    notices.clear();
    order = jobs;
    shown = showEach(list, shown, jobs, { key: (job) => job.jobId, make: jobLine });
    list.hidden = !jobs.length;
    summary.classList.toggle("empty", !jobs.length);
    setText(summary, summaryOf(total, wanted));
    fill(pages, pageLinks(wanted, last));
    fill(databases, [...new Set(jobs.map((job) => job.database))].map((name) => element("option", { value: name })));
  }

  /** Show a job that an event tells of. Returns true if it may have changed which jobs are on the page. */
  function take({ name, data }) {
    if (name !== "progress" && name !== "final") return name === "gap";
    const place = order.findIndex((job) => job.jobId === data.jobId);
    if (place < 0 || wanted.state) return true;
    shown.get(data.jobId).update(data);
    return false;
  }

  watch({
    read: (left) => api.jobs(wanted, left),
    events: (left) => api.events(null, left),
    fromNowOn: true,
    everyS: POLL_S,
    signal,
    onValue: (value) => void show(value),
    onEvent: take,
    onFault: (fault, seconds) => showFault(notices, fault, seconds),
  });
  return element("div", {},
    element("div", { class: "heading" }, element("h1", { tabindex: -1 }, "Jobs"),
      element("a", { class: "button primary", href: addressOf("send") }, "Send a file")),
    filters(wanted, databases), notices.node, summary, list, pages);
}

function jobLine(first) {
  const progress = bar();
  const state = element("span", {});
  const done = element("span", { class: "done" });
  const failed = element("span", { class: "failed-count" });
  const when = element("time", { datetime: first.submittedAt, title: moment(first.submittedAt) });
  const plan = first.carePlanKey === null ? "" : ` · care plan ${first.carePlanKey}`;
  const node = element("li", { class: "job-line" },
    element("div", { class: "who" },
      element("a", { href: jobAddress(first.jobId) }, "Job ", element("code", {}, shortId(first.jobId)), first.dryRun && dryRunMark()),
      element("span", { class: "small" }, when, ` · ${first.database}${plan}`)),
    element("div", { class: "state-cell" }, state),
    element("div", { class: "how-far" }, progress.node, element("p", { class: "small" }, done, failed)));
  return {
    node,
    update(job) {
      state.className = `state ${job.state}`;
      setText(state, nameOf(job.state));
      setText(when, ago(job.submittedAt));
      progress.update(job);
      setText(done, isFinal(job) ? counted(job.total, "item") : `${number(job.processed)} of ${counted(job.total, "item")}`);
      setText(failed, job.failed ? ` · ${number(job.failed)} failed` : "");
    },
  };
}

function filters(wanted, databases) {
  const state = element("select", { id: "state" }, element("option", { value: "" }, "Any state"),
    STATES.map((name) => element("option", { value: name, selected: name === wanted.state }, nameOf(name))));
  const database = element("input", { id: "database", value: wanted.database, list: "databases", placeholder: "Any", autocomplete: "off" });
  const id = element("input", { id: "job-id", autocomplete: "off", spellcheck: "false", placeholder: "0193a5c2-…" });

  function apply() {
    location.hash = addressOf("jobs", { state: state.value, database: database.value.trim() });
  }
  function open(event) {
    event.preventDefault();
    const given = id.value.trim();
    id.setCustomValidity(!given || isJobId(given) ? "" : "A job's id has 32 hexadecimal digits, as 0193a5c2-7d61-7f0a-8b1f-6f1e2a770000.");
    if (!id.reportValidity()) return;
    if (given) location.hash = jobAddress(given);
    else apply();
  }
  id.addEventListener("input", () => id.setCustomValidity(""));
  state.addEventListener("change", apply);
  database.addEventListener("change", apply);
  return element("form", { class: "filters", "aria-label": "Filter jobs", on: { submit: open } },
    element("div", { class: "field" }, element("label", { for: "state" }, "State"), state),
    element("div", { class: "field" }, element("label", { for: "database" }, "Database"), database, databases),
    element("div", { class: "field" }, element("label", { for: "job-id" }, "Open by id"), id),
    element("button", { type: "submit" }, "Show"));
}

function summaryOf(total, { state, database }) {
  const filtered = [state && nameOf(state).toLowerCase(), database && `in ${database}`].filter(Boolean).join(", ");
  if (total) return `${counted(total, "job")}${filtered && ` (${filtered})`}, newest first.`;
  return filtered
    ? `No job is ${filtered}. Choose another state or database.`
    : "You have no jobs yet. Send a file, and see here how it goes.";
}

function pageLinks({ page, state, database }, last) {
  const link = (to, text) => element("a", { class: "button", href: addressOf("jobs", { state, database, page: to > 1 ? to : null }) }, text);
  if (last <= 1 && page === 1) return [];
  return [
    page > 1 && link(page - 1, "Newer"),
    element("span", { class: "small" }, `Page ${number(page)} of ${number(Math.max(last, 1))}`),
    page < last && link(page + 1, "Older"),
  ];
}
