/** The step that checks a file: what the rules say of each item, before anything is applied. */

import { element, setText } from "../dom.js";
import { checked, isTooLargeToCheck } from "../files/check.js";
import { counted, number } from "../format.js";
import { faultsTable } from "../jobs/faults-table.js";
import { noticePlace, showFault } from "../notice.js";
import { step } from "./step.js";

/** Make the step. `onBegun` is called once there is work for a target; `onChecked` gets the target and what was found, null if the file is to go without a check. */
export function checkPart({ api }, { file, format, target, signal, onBegun, onChecked }) {
  const notices = noticePlace();
  const status = element("p", { class: "lead", role: "status" });
  const table = faultsTable("Faults by field and rule");
  table.node.hidden = true;
  const button = element("button", { type: "button", class: "primary", on: { click: check } }, "Check the file");
  const without = element("button", { type: "button", class: "quiet", on: { click: skip } }, "Go on without a check");

  async function check() {
    const to = target.value;
    if (!to) return;
    onBegun();
    button.disabled = without.disabled = true;
    notices.clear();
    setText(status, "Checking …");
    try {
      const found = await checked(api, { file, format, target: to }, {
        signal,
        onWait: (fault, seconds) => showFault(notices, fault, seconds),
        onProgress(total, groups) {
          notices.clear();
          setText(status, `${counted(total, "item")} checked, ${number(groups.items)} with faults …`);
          showGroups(groups);
        },
      });
      setText(status, verdictOf(found, to));
      button.hidden = without.hidden = true;
      onChecked(to, found);
    } catch (fault) {
      setText(status, "");
      if (!signal.aborted) refuse(fault);
    }
    button.disabled = without.disabled = false;
  }
  function refuse(fault) {
    if (isTooLargeToCheck(fault, format)) {
      const [what, instead] = format.charset === "utf-16"
        ? ["a file in UTF-16", "save the file as UTF-8, for a mapping with that encoding,"]
        : ["a .zst file", "unpack the file, or pack it as .gz,"];
      notices.show("waiting", element("p", {}, `This browser cannot take ${what} apart, and the service checks at most 20,000 items at once. Try it against the database instead: that holds each item to the rules, too. Or ${instead} and choose it again.`));
      skip();
    } else {
      showFault(notices, fault, null);
    }
  }
  function showGroups(groups) {
    table.node.hidden = !groups.items;
    table.update(groups);
  }
  function skip() {
    const to = target.value;
    if (!to) return;
    onBegun();
    button.hidden = without.hidden = true;
    setText(status, "Not checked. A try against the database tells what breaks a rule, too; else it is refused item by item once the file is sent.");
    onChecked(to, null);
  }

  return {
    node: step(3, "The check", element("p", { class: "small" }, "The service reads the cases and keeps nothing."),
      element("div", { class: "row" }, button, without), notices.node, status, table.node),
  };
}

function verdictOf({ total, groups }, { strict }) {
  if (!groups.items) return `All ${counted(total, "item")} keep the rules.`;
  const faulty = `${number(groups.items)} of ${counted(total, "item")} ${groups.items === 1 ? "has" : "have"} faults.`;
  const others = total - groups.items;
  if (strict) return `${faulty} All items or none: as it is, none would be applied.`;
  return others ? `${faulty} These would be refused, the other ${number(others)} applied.` : `${faulty} None would be applied.`;
}
