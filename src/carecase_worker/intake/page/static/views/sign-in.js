/** The view that asks for credentials. */

import { element } from "../dom.js";
import { noticePlace, showFault } from "../notice.js";

/** Make the view. `reason` says why the last session ended, if it did. */
export function signInView({ api, session, settings }, reason) {
  const notices = noticePlace();
  if (reason) notices.show("error", element("p", {}, reason));
  const either = settings.require === "either";
  const apiKey = secretField("api-key", "API key", "The key of your client, from those who run the service.", !either);
  const token = secretField("token", "Bearer token", "A token that names your client and you. It ends by itself.", !either);
  const button = element("button", { type: "submit", class: "primary" }, "Sign in");

  async function signIn(event) {
    event.preventDefault();
    notices.clear();
    button.disabled = true;
    session.open(apiKey.value, token.value.replace(/^Bearer\s+/i, ""));
    try {
      await api.jobs({ pageSize: 1 });
      session.confirm();
    } catch (fault) {
      session.forget();
      showFault(notices, fault, null);
      button.disabled = false;
      apiKey.input.focus();
    }
  }

  return element("div", { class: "sign-in" },
    element("h1", { tabindex: -1 }, "Sign in"),
    element("p", { class: "lead" }, "See how your batches go, mend what failed, and send files."),
    notices.node,
    element("form", { on: { submit: signIn } },
      either && element("p", {}, "One of the two is enough."), apiKey.node, token.node, button),
    element("p", { class: "small" },
      "Both stay in the memory of this page and nowhere else: a reload, or closing the tab, signs you out."));
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
