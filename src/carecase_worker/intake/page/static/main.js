/** The page: a session, a view for each address, and what stands around it. */

import { Api } from "./api.js";
import { confirmed } from "./dialog.js";
import { element, fill, setText } from "./dom.js";
import { signedInAgain } from "./oidc/again.js";
import { SignIn } from "./oidc/sign-in.js";
import { addressOf, isJobId, routeOf } from "./router.js";
import { Session } from "./session.js";
import { jobView } from "./views/job.js";
import { jobsView } from "./views/jobs.js";
import { sendView } from "./views/send.js";
import { signInView } from "./views/sign-in.js";

const TITLE = "CareCase jobs";
const VIEWS = [
  { name: "jobs", matches: ({ rest }) => rest.length === 0, make: jobsView, title: "Jobs" },
  { name: "jobs", matches: ({ rest }) => rest.length === 1 && isJobId(rest[0]), make: jobView, title: "A job" },
  { name: "send", matches: ({ rest }) => rest.length === 0, make: sendView, title: "Send a file" },
];
const WARN_S = 300;
const LOOK_MS = 15_000;

const [top, main, announcements] = ["top", "main", "announcements"].map((id) => document.getElementById(id));
const settings = await (await fetch(new URL("settings.json", import.meta.url))).json();
const signIn = settings.oidc && new SignIn(settings.oidc);
const session = new Session((former) => signedInAgain(signIn, former));
const context = {
  api: new Api(session),
  session,
  settings,
  signIn,
  /** Files that were sent since the page was loaded, by the ids of their jobs. */
  sent: new Map(),
  /** Uploads of the view that is shown: they end with it. */
  uploads: new Set(),
  announce: (text) => void (announcements.textContent = text),
};
const ends = element("span", { class: "ends", role: "status" });
const renew = element("button", { type: "button", hidden: true, on: { click: () => session.renew() } }, "Sign in again");
let [shown, current, address, isAsking] = [new AbortController(), null, location.hash, false];

/** Show the view of the address; of nobody, the one that asks for credentials. */
function show(reason = "", isFirst = false) {
  shown.abort();
  shown = new AbortController();
  address = location.hash;
  context.uploads.clear();
  const route = routeOf(location.hash);
  const view = session.isOpen ? VIEWS.find(({ name, matches }) => name === route.name && matches(route)) : null;
  const focused = view && view === current ? document.activeElement.id : ""; // of a filter, which changes its own view
  current = view;
  document.title = `${session.isOpen ? (view?.title ?? "Nothing here") : "Sign in"} · ${TITLE}`;
  showEnd();
  fill(top, ...header(route));
  if (!session.isOpen) {
    context.sent.clear();
    fill(main, signInView(context, reason, shown.signal));
  } else {
    fill(main, view ? view.make(context, route, shown.signal) : nothingHere());
  }
  if (!isFirst) (document.getElementById(focused) ?? main.querySelector("h1"))?.focus();
}

/** Show the view of another address; before an upload is lost by that, ask. */
async function go() {
  if (!context.uploads.size) return show();
  if (isAsking) return;
  isAsking = true;
  const { signal } = shown;
  const isLeft = await confirmed({
    title: "Stop sending the file?", text: "It has not arrived yet. Whoever leaves this view stops it.", yes: "Stop sending", no: "Go on sending",
  }, signal);
  isAsking = false;
  if (isLeft) show();
  else if (!signal.aborted) history.replaceState(null, "", address);
}

function header(route) {
  const brand = element("a", { class: "brand", href: addressOf("jobs") }, TITLE);
  if (!session.isOpen) return [brand];
  const link = (name, text) => element("a", { href: addressOf(name), "aria-current": route.name === name ? "page" : null }, text);
  const { sub, client_id: client } = session.claims;
  const { name, preferred_username: user } = session.tokens?.person ?? {};
  const who = [name ?? user ?? sub, client !== sub && client].filter((text) => typeof text === "string").join(" · ");
  return [
    brand,
    element("nav", { "aria-label": "Main" }, link("jobs", "Jobs"), link("send", "Send a file")),
    element("p", { class: "signed-in" }, ends, renew, element("span", {}, who),
      element("button", { type: "button", class: "quiet", on: { click: signOut } }, "Sign out")),
  ];
}

/** Say of a token that ends soon when it does. */
function showEnd() {
  const left = session.isOpen ? session.secondsLeft : Infinity;
  const what = session.tokens ? "Your sign-in" : "Your token";
  setText(ends, left < WARN_S ? `${what} ends in ${Math.max(Math.ceil(left / 60), 1)} min.` : "");
  renew.hidden = left >= WARN_S || !session.tokens;
}

/** Sign out here, and with the provider if it has signed somebody in. */
function signOut() {
  const { tokens } = session;
  const address = tokens?.ended(new URL("../app", import.meta.url).href);
  session.close(tokens && !address ? `You are signed out here, but maybe not with ${signIn.host}: on a computer that others use, sign out there, too.` : "");
  if (address) location.assign(address);
}

function nothingHere() {
  return element("div", {}, element("h1", { tabindex: -1 }, "There is nothing here"),
    element("p", {}, "The address names no view of this page. Go to ", element("a", { href: addressOf("jobs") }, "your jobs"), "."));
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// a file that misses its place would be opened instead of this page
for (const event of ["dragover", "drop"]) window.addEventListener(event, (dragged) => dragged.preventDefault());
window.addEventListener("hashchange", go);
window.addEventListener("beforeunload", (event) => {
  if (context.uploads.size) event.preventDefault();
});
session.addEventListener("change", ({ detail }) => show(detail));
session.addEventListener("renewed", showEnd);
setInterval(showEnd, LOOK_MS);
show("", true);
