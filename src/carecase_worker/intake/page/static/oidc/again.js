/** The question to sign in again once tokens have ended: the page stays as it is behind it. */

import { element } from "../dom.js";
import { noticePlace, showFault } from "../notice.js";
import { SignInFault } from "./faults.js";

/** Ask whoever is there to sign in again. Returns the tokens, or null if they do not. Nobody else may go on in their place. */
export function signedInAgain(signIn, former) {
  const notices = noticePlace();
  const accept = element("button", { type: "button", class: "primary", autofocus: true }, `Sign in with ${signIn.host}`);
  const leave = element("button", { type: "submit" }, former.secondsLeft > 0 ? "Not now" : "Sign out");
  const dialog = element("dialog", { "aria-labelledby": "again", "aria-describedby": "again-text" },
    element("form", { method: "dialog" }, element("h2", { id: "again" }, "Sign in again"),
      element("p", { id: "again-text" }, former.secondsLeft > 0 ? "Your sign-in is about to end." : "Your sign-in has ended.", " The page goes on where it is once you have signed in."), notices.node,
      element("div", { class: "row" }, leave, accept)));
  let [attempt, tokens] = [new AbortController(), null];

  accept.addEventListener("click", async () => {
    attempt.abort();
    attempt = new AbortController();
    const { signal } = attempt;
    notices.show("waiting", element("p", {}, "Go on in the window that has opened. If it is gone, press the button again."));
    try {
      const given = await signIn.begin(signal);
      if (given.subject !== former.subject) throw SignInFault.otherPerson();
      tokens = given;
      dialog.close();
    } catch (fault) {
      if (!signal.aborted) showFault(notices, fault, null);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      attempt.abort();
      dialog.remove();
      resolve(tokens);
    });
  });
}
