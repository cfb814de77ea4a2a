/** The service's HTTP API, as this page uses it. */

import { eventsOf } from "./events.js";
import { Fault } from "./faults.js";
import { put } from "./upload.js";

const ROOT = new URL("..", import.meta.url);

export class Api {
  #session;
  #hasEvents = true;

  constructor(session) {
    this.#session = session;
  }

  /** Return a page of the caller's jobs, and how many there are. */
  async jobs({ page = 1, pageSize = 25, state, database }, signal) {
    const { json, headers } = await this.#request("GET", "jobs", { query: { page, pageSize, state, database }, signal });
    const { TotalCount, TotalPages } = JSON.parse(headers.get("x-pagination"));
    return { jobs: json.data, total: TotalCount, pages: TotalPages };
  }

  /** Return a job and its tag; null if it still has the tag that is given. */
  async job(id, { tag, signal } = {}) {
    const sent = tag ? { "If-None-Match": tag } : {};
    const { status, json, headers } = await this.#request("GET", jobPath(id), { headers: sent, signal });
    return status === 304 ? null : { job: json.data, tag: headers.get("etag") };
  }

  /** Return one page of the items of a final job that have an outcome. */
  async items(id, { outcome, page, pageSize = 1000 }, signal) {
    const query = { outcome, page, pageSize };
    return (await this.#request("GET", `${jobPath(id)}/result`, { query, signal })).json.data;
  }

  /** Return the events of all jobs, or of one; null if the service has none. */
  async events(id, signal) {
    if (!this.#hasEvents) return null;
    const path = id ? `${jobPath(id)}/events` : "jobs/events";
    const query = id ? { outcomes: false } : {};
    try {
      return await this.#stream(path, { query, signal });
    } catch (fault) {
      this.#hasEvents = ![400, 404, 405, 406].includes(fault.status);
      if (this.#hasEvents) throw fault;
      return null;
    }
  }

  /** Return the events of a job with the outcomes that are committed, of all chunks but those up to `after`; null at its end. */
  async outcomes(id, after, signal) {
    return this.#stream(`${jobPath(id)}/events`, { headers: after ? { "Last-Event-ID": after } : {}, signal });
  }

  /** Return the names of a case's fields, as the published description has them. */
  async fields(signal) {
    const { json } = await this.#request("GET", "openapi.json", { signal });
    return Object.keys(json.components.schemas.CareCase.properties);
  }

  async cancel(id) {
    return (await this.#request("DELETE", jobPath(id))).json.job;
  }

  async retry(id) {
    return (await this.#request("POST", `${jobPath(id)}/retry`)).json.job;
  }

  /** Return the mappings that the caller may name, with what their files are. */
  async mappings(signal) {
    return (await this.#request("GET", "mappings", { signal })).json.data;
  }

  /** Have the rules say what is wrong with the items of a body; nothing is kept. Returns an outcome for each. */
  async check(target, headers, body, { mapping, signal, onProgress }) {
    const url = urlOf(batchPath(target), { mapping, validateOnly: true });
    return (await this.#put(url, target, headers, body, { signal, onProgress })).body.data;
  }

  /** Send a batch, to be applied or, as a dry run, to be rolled back. Returns its job, and the service's own time. */
  async send(target, headers, body, { mapping, dryRun = false, signal, onProgress }) {
    const sent = { ...headers, ...(target.strict && { Prefer: "handling=strict" }) };
    const url = urlOf(batchPath(target), { mapping, dryRun: dryRun || null });
    const { body: accepted, date } = await this.#put(url, target, sent, body, { signal, onProgress });
    return { job: accepted.job, date };
  }

  async #put(url, target, headers, body, options) {
    const named = { Accept: "application/json", ...headers, "vbasoftware-database": target.database };
    const answer = await this.#withCredentials((own) => put(url, { ...own, ...named }, body, options));
    if (answer.status < 200 || answer.status > 299) throw this.#fault(answer);
    return { body: jsonOf(answer.text), date: answer.date };
  }

  /** Make a request. Returns its answer, with the JSON of its text. */
  async #request(method, path, options) {
    const answer = await this.#answered(method, path, options);
    return { ...answer, json: answer.status === 304 ? null : jsonOf(answer.text) };
  }

  /** Return the events of an answer as they come; null if it has none. */
  async #stream(path, { query, headers, signal }) {
    const accept = { Accept: "text/event-stream" };
    const answer = await this.#answered("GET", path, { query, headers: { ...headers, ...accept }, signal, isStream: true });
    return answer.status === 200 ? eventsOf(answer) : null;
  }

  async #answered(method, path, { query = {}, headers = {}, signal, isStream = false } = {}) {
    const answer = await this.#withCredentials(async (own) => {
      const sent = { Accept: "application/json", ...own, ...headers };
      try {
        const response = await fetch(urlOf(path, query), { method, headers: sent, signal, cache: "no-store" });
        const text = isStream && response.ok ? "" : await response.text(); // the network may go in the middle of it
        return { status: response.status, headers: response.headers, body: response.body, text };
      } catch {
        throw signal?.aborted ? signal.reason : Fault.away();
      }
    });
    if (answer.status < 300 || answer.status === 304) return answer;
    throw this.#fault({ ...answer, retryAfter: answer.headers.get("retry-after") });
  }

  /** Send something with the credentials; once more if they were refused, and could be renewed. */
  async #withCredentials(send) {
    await this.#session.ready();
    const used = this.#session.headers;
    const answer = await send(used);
    if (answer.status !== 401 || !(await this.#session.replaced(used))) return answer;
    return send(this.#session.headers);
  }

  /** Make the fault of an answer. One of the credentials ends the session. */
  #fault(answer) {
    const fault = Fault.of(answer);
    if (fault.status === 401 && this.#session.isOpen) this.#session.close(fault.message);
    return fault;
  }
}

const jobPath = (id) => `jobs/${encodeURIComponent(id)}`;

const batchPath = ({ carePlan }) =>
  carePlan === null ? "care-cases-batch" : `care-plans/${encodeURIComponent(carePlan)}/cases-batch`;

/** Read the text of an answer; what is no JSON, as the page by which a network lets people in, is not the service's. */
function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw Fault.away();
  }
}

function urlOf(path, query = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value != null && value !== "") url.searchParams.set(name, value);
  return url;
}
