/** Routes of the page: they are in the address behind #, so that each view has a link and the service needs none. */

/** Return the path and the parameters of an address: `#/jobs/1?state=running`. */
export function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const [name = "", ...rest] = path.split("/").filter(Boolean);
  return { name: name || "jobs", rest: rest.map(decoded), query: new URLSearchParams(query) };
}

/** Return the address of a view; parameters without a value are left out. */
export function addressOf(path, parameters = {}) {
  const set = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(set).toString();
  return `#/${path}${query && `?${query}`}`;
}

export const jobAddress = (id) => addressOf(`jobs/${encodeURIComponent(id)}`);

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
