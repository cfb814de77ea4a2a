/** The window in which somebody signs in: it belongs to the provider, and comes back with an answer. */

import { SignInFault } from "./faults.js";

/** The channel over which the window tells the page of the answer. */
export const CHANNEL = "carecase-sign-in";
const BACK = new URL("../signed-in.html", import.meta.url);
const SIZE = "popup,width=520,height=720";

/** The address to which the provider sends people back. It is the same behind any path prefix that the page is under. */
export const redirectUri = BACK.href;

/**
 * Open the window; it must be in answer to a click, else browsers refuse. The page and what is on it stay meanwhile. The
 * provider's pages have no way to this one (Cross-Origin-Opener-Policy), so the answer comes over a channel of this origin.
 */
export function openWindow() {
  const opened = window.open(BACK, "_blank", SIZE);
  if (!opened) throw SignInFault.blocked();
  return opened;
}

/** Wait for the answer that has this state; answers with another one are for other pages. Rejects if `signal` is aborted. */
export function answerTo(state, signal) {
  const channel = new BroadcastChannel(CHANNEL);
  return new Promise((resolve, reject) => {
    channel.addEventListener("message", ({ data }) => {
      if (data?.answer?.state !== state) return;
      channel.postMessage({ taken: state });
      resolve(data.answer);
    });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  }).finally(() => channel.close());
}
