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
    const response = await this.#request("GET", "jobs", { query: { page, pageSize, state, database }, signal });
    const { TotalCount, TotalPages } = JSON.parse(response.headers.get("x-pagination"));
    return { jobs: (await response.json()).data, total: TotalCount, pages: TotalPages };
  }

  /** Return a job and its tag; null if it still has the tag that is given. */
  async job(id, { tag, signal } = {}) {
    const headers = tag ? { "If-None-Match": tag } : {};
    const response = await this.#request("GET", jobPath(id), { headers, signal });
    if (response.status === 304) return null;
    return { job: (await response.json()).data, tag: response.headers.get("etag") };
  }

  /** Return one page of the items of a final job that have an outcome. */
  async items(id, { outcome, page, pageSize = 1000 }, signal) {
    const query = { outcome, page, pageSize };
    const response = await this.#request("GET", `${jobPath(id)}/result`, { query, signal });
    return (await response.json()).data;
  }

  /** Return the events of all jobs, or of one; null if the service has none. */
  async events(id, signal) {
    if (!this.#hasEvents) return null;
    const path = id ? `${jobPath(id)}/events` : "jobs/events";
    const query = id ? { outcomes: false } : {};
    try {
      const response = await this.#request("GET", path, { query, headers: { Accept: "text/event-stream" }, signal });
      return response.status === 200 ? eventsOf(response) : null;
    } catch (fault) {
      this.#hasEvents = ![400, 404, 405, 406].includes(fault.status);
      if (this.#hasEvents) throw fault;
      return null;
    }
  }

  /** Return the events of a job with the outcomes that are committed, of all chunks but those up to `after`; null at its end. */
  async outcomes(id, after, signal) {
    const headers = { Accept: "text/event-stream", ...(after && { "Last-Event-ID": after }) };
    const response = await this.#request("GET", `${jobPath(id)}/events`, { headers, signal });
    return response.status === 200 ? eventsOf(response) : null;
  }

  /** Return the names of a case's fields, as the published description has them. */
  async fields(signal) {
    const description = await (await this.#request("GET", "openapi.json", { signal })).json();
    return Object.keys(description.components.schemas.CareCase.properties);
  }

  async cancel(id) {
    return (await (await this.#request("DELETE", jobPath(id))).json()).job;
  }

  async retry(id) {
    return (await (await this.#request("POST", `${jobPath(id)}/retry`)).json()).job;
  }

  /** Return the mappings that the caller may name, with what their files are. */
  async mappings(signal) {
    return (await (await this.#request("GET", "mappings", { signal })).json()).data;
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
    return { body: JSON.parse(answer.text), date: answer.date };
  }

  async #request(method, path, { query = {}, headers = {}, signal } = {}) {
    const response = await this.#withCredentials(async (own) => {
      const sent = { Accept: "application/json", ...own, ...headers };
      try {
        return await fetch(urlOf(path, query), { method, headers: sent, signal, cache: "no-store" });
      } catch {
        throw signal?.aborted ? signal.reason : Fault.away();
      }
    });
    if (response.ok || response.status === 304) return response;
    const [text, retryAfter] = [await response.text().catch(() => ""), response.headers.get("retry-after")];
    throw this.#fault({ status: response.status, text, retryAfter });
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

function urlOf(path, query = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value != null && value !== "") url.searchParams.set(name, value);
  return url;
}
