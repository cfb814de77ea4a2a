/** The end of a sign-in, in its window: the provider's answer goes to the page that asked, and the window closes. */

import { CHANNEL } from "./oidc/window.js";

const PATIENCE_MS = 3000;

const status = document.getElementById("status");
const { state, code, error, iss } = Object.fromEntries(new URLSearchParams(location.search));
history.replaceState(null, "", location.pathname); // the code is for nobody's history

if (state) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }) => {
    if (data?.taken !== state) return;
    status.textContent = "Done. Close this window, and go on in the page.";
    window.close();
  });
  channel.postMessage({ answer: { state, code, error, iss } });
  setTimeout(() => {
    if (!status.textContent.startsWith("Done")) status.textContent = "No page waits for this answer, so nobody was signed in. Close this window, and sign in from the page again.";
  }, PATIENCE_MS);
}
