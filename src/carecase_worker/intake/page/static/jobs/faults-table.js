/** The faults of a job's items, grouped: by field and rule, with how many, and the first of them. */

import { element, fill, setText } from "../dom.js";
import { number } from "../format.js";

const ADVICE = {
  409: "Conflicts with what is there",
  422: "Breaks a rule",
  424: "Held back by others",
  500: "Can be sent again",
  503: "Can be sent again",
};

const INDICES = "First indices";

/** Make the table; `update` shows groups of faults. */
export function faultsTable(caption) {
  // on a narrow screen it is laid out as lines, which takes its roles away in some browsers unless they are named
  const body = element("tbody", { role: "rowgroup" });
  const heads = ["Field", "Rule", "Items", INDICES].map((text) => element("th", { scope: "col", role: "columnheader" }, text));
  const table = element("table", { class: "faults", role: "table" },
    element("caption", {}, caption), element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)), body);
  const node = element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": caption }, table);
  return {
    node,
    update({ groups, hasLines }) {
      setText(heads.at(-1), hasLines ? "First lines" : INDICES);
      fill(body, groups.map(row));
    },
  };
}

function row({ status, field, rule, count, indices }) {
  const more = count > indices.length ? " …" : "";
  return element("tr", { role: "row" },
    element("th", { scope: "row", role: "rowheader" }, field ? element("code", {}, field) : "Whole item"),
    element("td", { role: "cell" }, rule, element("span", { class: "advice" }, ` ${ADVICE[status] ?? ""} (${status})`)),
    element("td", { class: "number", role: "cell" }, number(count)),
    element("td", { class: "indices", role: "cell" }, `${indices.join(", ")}${more}`));
}
