/** The page: a session, a view for each address, and what stands around it. */

import { Api } from "./api.js";
import { element, fill } from "./dom.js";
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

const [top, main, announcements] = ["top", "main", "announcements"].map((id) => document.getElementById(id));
const session = new Session();
const settings = await (await fetch(new URL("settings.json", import.meta.url))).json();
const context = {
  api: new Api(session),
  session,
  settings,
  /** Files that were sent since the page was loaded, by the ids of their jobs. */
  sent: new Map(),
  announce: (text) => void (announcements.textContent = text),
};
let shown = new AbortController();

/** Show the view of the address; of nobody, the one that asks for credentials. */
function show(reason = "", isFirst = false) {
  shown.abort();
  shown = new AbortController();
  const route = routeOf(location.hash);
  const view = session.isOpen ? VIEWS.find(({ name, matches }) => name === route.name && matches(route)) : null;
  document.title = `${session.isOpen ? (view?.title ?? "Nothing here") : "Sign in"} · ${TITLE}`;
  fill(top, ...header(route));
  if (!session.isOpen) {
    context.sent.clear();
    fill(main, signInView(context, reason));
  } else {
    fill(main, view ? view.make(context, route, shown.signal) : nothingHere());
  }
  if (!isFirst) main.querySelector("h1")?.focus();
}

function header(route) {
  const brand = element("a", { class: "brand", href: addressOf("jobs") }, TITLE);
  if (!session.isOpen) return [brand];
  const link = (name, text) => element("a", { href: addressOf(name), "aria-current": route.name === name ? "page" : null }, text);
  const { sub, client_id: client, exp } = session.claims;
  const who = [sub, client !== sub && client].filter((text) => typeof text === "string").join(" · ");
  return [
    brand,
    element("nav", { "aria-label": "Main" }, link("jobs", "Jobs"), link("send", "Send a file")),
    element("p", { class: "signed-in" }, endOf(exp), element("span", {}, who),
      element("button", { type: "button", class: "quiet", on: { click: () => session.close() } }, "Sign out")),
  ];
}

/** Return a word on a token that ends soon. */
function endOf(exp) {
  const left = exp - Date.now() / 1000;
  return left < WARN_S && element("span", { class: "ends" }, `Your token ends in ${Math.max(Math.ceil(left / 60), 1)} min.`);
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
window.addEventListener("hashchange", () => show());
session.addEventListener("change", ({ detail }) => show(detail));
show("", true);
