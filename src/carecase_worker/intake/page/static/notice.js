/** Notices: lines above a view that say what is wrong and what to do, and go once it is over. */

import { element, fill } from "./dom.js";
import { counted } from "./format.js";

/** Make the place for a notice; `show` and `clear` change it. Errors are spoken at once, others when there is time. */
export function noticePlace() {
  const urgent = element("div", { role: "alert" });
  const calm = element("div", { role: "status" });
  return {
    node: element("div", { class: "notices" }, urgent, calm),
    show(kind, ...children) {
      const [place, other] = kind === "error" ? [urgent, calm] : [calm, urgent];
      other.replaceChildren();
      fill(place, element("div", { class: `notice ${kind}` }, ...children));
    },
    clear() {
      urgent.replaceChildren();
      calm.replaceChildren();
    },
  };
}

/** Show a fault; `seconds` is the time until the page tries again by itself, null if it does not. */
export function showFault(place, fault, seconds) {
  const again = seconds === null ? "" : ` The page tries again in ${counted(seconds, "second")}.`;
  const id = fault.status >= 500 && fault.activityId && element("p", { class: "small" }, "If you report this, name ", element("code", {}, fault.activityId), ".");
  place.show(seconds === null ? "error" : "waiting", element("p", {}, `${fault.message}${again}`), id);
}
