/** The mark of a job that is a dry run, so that nobody takes it for one that was applied. */

import { element } from "../dom.js";

export const dryRunMark = () => element("span", { class: "mark" }, "Dry run");
