/** The question before something that cannot be taken back. */

import { element } from "./dom.js";

/** Ask, and return true if the answer is yes; it is no once `signal` is aborted. The focus begins on no. */
export function confirmed({ title, text, yes, no = "Go back" }, signal) {
  const question = element("p", { id: "question-text" }, text);
  const accept = element("button", { type: "submit", value: "yes", class: "danger" }, yes);
  const refuse = element("button", { type: "submit", value: "no", autofocus: true }, no);
  const form = element("form", { method: "dialog" }, element("h2", { id: "question" }, title), question,
    element("div", { class: "row" }, refuse, accept));
  const dialog = element("dialog", { "aria-labelledby": "question", "aria-describedby": "question-text" }, form);
  document.body.append(dialog);
  dialog.showModal();
  signal.addEventListener("abort", () => dialog.close());
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
