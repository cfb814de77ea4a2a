/** Routes of the page: they are in the address behind #, so that each view has a link and the service needs none. */

/** Return the path and the parameters of an address, `#/jobs?state=running`; an anchor, as `#main`, is no address. */
export function routeOf(hash) {
  const [path, query = ""] = (hash.startsWith("#/") ? hash.slice(1) : "").split("?");
  const [name = "", ...rest] = path.split("/").filter(Boolean);
  return { name: name || "jobs", rest: rest.map(decoded), query: new URLSearchParams(query) };
}

/** Return the address of a view; parameters without a value are left out. */
export function addressOf(path, parameters = {}) {
  const set = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(set).toString();
  return `#/${path}${query && `?${query}`}`;
}

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** True for what can be the id of a job; nothing else is put into a path. */
export const isJobId = (text) => UUID.test(text);

export const jobAddress = (id) => addressOf(`jobs/${encodeURIComponent(id)}`);

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
