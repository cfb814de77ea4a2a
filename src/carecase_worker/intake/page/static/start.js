/**
 * The start of the page. If one of its parts did not arrive, because the service was restarted or the network changed, the
 * page says so and is loaded again once the service answers; nobody is signed in yet, so nothing is lost. It imports
 * nothing but the page itself: whatever it used could be the part that is missing.
 */

const [PAUSE_S, LONG_PAUSE_S] = [2, 15];
const SETTINGS = new URL("settings.json", import.meta.url);

try {
  await import("./main.js");
} catch (fault) {
  const [navigation] = performance.getEntriesByType("navigation");
  const seconds = navigation?.type === "reload" ? LONG_PAUSE_S : PAUSE_S;
  const notice = document.createElement("p");
  notice.className = "notice waiting";
  notice.setAttribute("role", "alert");
  notice.textContent = `A part of this page could not be loaded. The page is loaded again in ${seconds} seconds, or as soon as the service answers; if it stays so, tell the operator of the service.`;
  document.getElementById("main").replaceChildren(notice);
  setInterval(reloadIfServed, seconds * 1000);
  throw fault;
}

async function reloadIfServed() {
  const isServed = await fetch(SETTINGS, { cache: "no-store" }).then((response) => response.ok, () => false);
  if (isServed) location.reload();
}
