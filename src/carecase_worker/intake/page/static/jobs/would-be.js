/** What a dry run says would become of a file: how many cases in which way, and the fields that would change. */

import { element, fill, setText } from "../dom.js";
import { counted, number } from "../format.js";
import { CONNECT_ANEW_S, patiently, pause } from "../pauses.js";
import { FaultGroups } from "./groups.js";

const NAMES = { created: "Would be created", updated: "Would be updated", unchanged: "Unchanged", failed: "Would be refused", cancelled: "Cancelled" };

/** The outcomes of a dry run, counted. */
export class WouldBe {
  counts = { created: 0, updated: 0, unchanged: 0, failed: 0, cancelled: 0 };
  groups = new FaultGroups();
  #fields = new Map();

  /** Add runs of neighbours with the same outcome. */
  add(runs) {
    for (const run of runs) {
      const name = nameOf(run);
      this.counts[name] += run.count;
      if (name === "failed") this.groups.add([run]);
      for (const field of run.changes ?? []) this.#fields.set(field, (this.#fields.get(field) ?? 0) + run.count);
    }
  }

  /** The fields that would change, each with in how many cases, the most first. */
  get fields() {
    return [...this.#fields].sort(([, one], [, other]) => other - one);
  }
}

function nameOf({ status, body, changes }) {
  if (body === "Cancelled") return "cancelled";
  if (status >= 400) return "failed";
  if (status === 201) return "created";
  return changes?.length ? "updated" : "unchanged";
}

/**
 * Read the outcomes of a dry run from its events until it is final. `onEvent` gets the job, and the totals so far;
 * `onWait` of a service that does not answer. Returns the job and what would be. Raises Fault.
 */
export async function whatWouldBe(api, id, { signal, onEvent, onWait }) {
  const found = new WouldBe();
  let [after, job] = [null, null];
  async function read() {
    for await (const event of (await api.outcomes(id, after, signal)) ?? []) {
      if (event.name === "outcomes") found.add(event.data.runs);
      if (event.name === "progress" || event.name === "final") job = event.data;
      after = event.id ?? after;
      onEvent(job, found);
      if (event.name === "final") return true;
    }
    return false;
  }
  while (!(await patiently(read, { signal, onWait }))) await pause(CONNECT_ANEW_S, signal);
  return { job, found };
}

/** Make the part that shows it; `update` shows what would be. */
export function wouldBePart() {
  const counts = Object.entries(NAMES).map(([name, text]) => [name, element("dd", {}), text]);
  const body = element("tbody", {});
  const table = element("table", { class: "changes" }, element("caption", {}, "Changes by field"),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Field"), element("th", { scope: "col" }, "Cases that would change in it"))), body);
  const changes = element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Changes by field", hidden: true }, table);
  const list = element("dl", { class: "counts" }, counts.map(([name, count, text]) => element("div", { class: `count ${name}` }, element("dt", {}, text), count)));
  return {
    node: element("div", { class: "would-be" }, list, changes),
    update({ counts: totals, fields }) {
      for (const [name, count] of counts) {
        setText(count, number(totals[name]));
        count.parentElement.classList.toggle("none", !totals[name]);
        if (name === "cancelled") count.parentElement.hidden = !totals[name];
      }
      changes.hidden = !fields.length;
      fill(body, fields.map(([field, count]) => element("tr", {}, element("th", { scope: "row" }, element("code", {}, field)), element("td", { class: "number" }, number(count)))));
    },
  };
}

/** Return a sentence on what a dry run has found. */
export function verdictOf({ counts }) {
  const parts = [[counts.created, "would be created"], [counts.updated, "would be updated"], [counts.unchanged, "would stay as they are"], [counts.failed, "would be refused"]]
    .filter(([count]) => count).map(([count, what]) => `${number(count)} ${what}`);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return `Of ${counted(total, "item")}, ${parts.join(", ") || "none was tried"}. Nothing was applied.`;
}
