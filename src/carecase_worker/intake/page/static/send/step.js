/** Steps of the way of a file. */

import { element } from "../dom.js";

/** Make a numbered part of the page. */
export function step(number, title, ...children) {
  const id = `step-${number}`;
  return element("section", { class: "step", "aria-labelledby": id },
    element("h2", { id }, element("span", { class: "step-number", "aria-hidden": "true" }, String(number)), title), ...children);
}
