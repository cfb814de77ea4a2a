/** The view that asks for credentials. */

import { element, setText } from "../dom.js";
import { unsendable } from "../faults.js";
import { noticePlace, showFault } from "../notice.js";
import { patiently } from "../pauses.js";

/** Make the view. `reason` says why the last session ended, if it did. */
export function signInView({ api, session, settings, signIn }, reason, signal) {
  const notices = noticePlace();
  if (reason) notices.show("error", element("p", {}, reason));
  const either = settings.require === "either";
  const apiKey = secretField("api-key", either ? "API key (optional)" : "API key", "The key of your client, from the operator of the service.", !either);
  const token = secretField("token", "Bearer token", "A token that names your client and you. It ends by itself.", !either);
  const button = element("button", { type: "submit", class: "primary" });
  const byToken = signIn && element("details", { on: { toggle: describe } }, element("summary", {}, "Use a bearer token instead"), token.node);
  let [attempt, tokens, triedKey] = [new AbortController(), null, null];

  const takesToken = () => !byToken || byToken.open;
  function describe() {
    token.input.required = takesToken() && !either;
    apiKey.input.setCustomValidity(unsendable(apiKey.value));
    token.input.setCustomValidity(takesToken() ? unsendable(token.value) : "");
    setText(button, takesToken() ? "Sign in" : `Sign in with ${signIn.host}`);
  }
  async function enter(event) {
    event.preventDefault();
    attempt.abort();
    attempt = new AbortController();
    const left = AbortSignal.any([signal, attempt.signal]);
    notices.clear();
    try {
      if (takesToken()) session.open(apiKey.value, token.value.replace(/^Bearer\s+/i, ""));
      else session.open(apiKey.value, "", (tokens = await given(left)));
      await patiently(accepted, { signal: left, onWait: showWaiting });
      session.confirm();
    } catch (fault) {
      if (left.aborted) return;
      session.forget();
      showFault(notices, fault, null);
      button.disabled = false;
      (takesToken() || fault.status ? apiKey.input : button).focus();
    }
  }
  async function accepted() {
    button.disabled = true;
    await api.jobs({ pageSize: 1 }, attempt.signal);
  }
  function showWaiting(fault, seconds) {
    showFault(notices, fault, seconds);
    button.disabled = false;
  }
  /** Return tokens; the last ones are still good if only the API key is another one now. */
  async function given(left) {
    const isKeyAnother = apiKey.value !== triedKey;
    triedKey = apiKey.value;
    if (tokens?.secondsLeft > 0 && isKeyAnother) return tokens;
    notices.show("waiting", element("p", {}, "Go on in the window that has opened. If it is gone, press the button again."));
    const fresh = await signIn.begin(left);
    notices.clear();
    return fresh;
  }

  describe();
  return element("div", { class: "sign-in" },
    element("h1", { tabindex: -1 }, "Sign in"),
    element("p", { class: "lead" }, "See how your batches go, mend what failed, and send files."),
    notices.node,
    element("form", { on: { submit: enter, input: describe } },
      either && !signIn && element("p", {}, "One of the two is enough."), apiKey.node, byToken ?? token.node, button),
    element("p", { class: "small" },
      "What signs you in stays in the memory of this page and nowhere else: a reload, or closing the tab, signs you out."));
}

function secretField(id, label, hint, required) {
  const input = element("input", {
    id, type: "password", required, autocomplete: "off", spellcheck: "false", autocapitalize: "none",
    "aria-describedby": `${id}-hint`,
  });
  const node = element("div", { class: "field" },
    element("label", { for: id }, label), input, element("p", { class: "hint", id: `${id}-hint` }, hint));
  return { node, input, get value() { return input.value.trim(); } };
}
