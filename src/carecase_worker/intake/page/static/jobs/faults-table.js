/** The faults of a job's items, grouped: by field and rule, with how many, and the first of them. */

import { element, fill } from "../dom.js";
import { number } from "../format.js";

const ADVICE = {
  409: "Conflicts with what is there",
  422: "Breaks a rule",
  424: "Held back by others",
  500: "Can be sent again",
  503: "Can be sent again",
};

/** Make the table; `update` shows groups. */
export function faultsTable(caption) {
  const body = element("tbody", {});
  const heads = ["Field", "Rule", "Items", "First indices"].map((text) => element("th", { scope: "col" }, text));
  const table = element("table", { class: "faults" },
    element("caption", {}, caption), element("thead", {}, element("tr", {}, heads)), body);
  const node = element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": caption }, table);
  return {
    node,
    update(groups) {
      fill(body, groups.map(row));
    },
  };
}

function row({ status, field, rule, count, indices }) {
  const more = count > indices.length ? " …" : "";
  return element("tr", {},
    element("th", { scope: "row" }, field ? element("code", {}, field) : "Whole item"),
    element("td", {}, rule, element("span", { class: "advice" }, ` ${ADVICE[status] ?? ""} (${status})`)),
    element("td", { class: "number" }, number(count)),
    element("td", { class: "indices" }, `${indices.join(", ")}${more}`));
}
