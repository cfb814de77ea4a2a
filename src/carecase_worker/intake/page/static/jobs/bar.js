/** The bar of a job: how much of it is done, and with which outcomes. */

import { element } from "../dom.js";
import { number } from "../format.js";
import { COUNTS } from "./states.js";

/** Make a bar; `update` shows the counts of a job. */
export function bar() {
  const parts = COUNTS.map((name) => [name, element("span", { class: `part ${name}` })]);
  const node = element("div", { class: "bar", role: "progressbar", "aria-label": "Items done", "aria-valuemin": 0 },
    parts.map(([, part]) => part));
  return {
    node,
    update(job) {
      node.setAttribute("aria-valuemax", job.total);
      node.setAttribute("aria-valuenow", job.processed);
      node.setAttribute("aria-valuetext", `${number(job.processed)} of ${number(job.total)} items`);
      for (const [name, part] of parts) part.style.flexGrow = job.total ? job[name] / job.total : 0;
    },
  };
}
