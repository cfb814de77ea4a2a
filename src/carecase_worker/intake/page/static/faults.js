/** Faults of requests, in words that say what to do next. */

const PASSING = new Set([408, 429, 500, 502, 503, 504]);
const AWAY = "The service does not answer.";

/** A request that was refused, or got no answer (status 0). */
export class Fault extends Error {
  constructor(status, detail, { title = "", kind = "", retryAfterS = null, activityId = "" } = {}) {
    super(detail);
    Object.assign(this, { status, title, kind, retryAfterS, activityId });
  }

  /** True if the same request may succeed later. */
  get passes() {
    return this.status === 0 || PASSING.has(this.status);
  }

  static away() {
    return new Fault(0, AWAY);
  }

  /** Make the fault of a response: of its problem document (RFC 9457), or of its status if a proxy answered. */
  static of({ status, text, retryAfter }) {
    const { error, debug } = parsed(text);
    const retryAfterS = Number.parseInt(retryAfter ?? "", 10) || null;
    return new Fault(status, ofPage(error?.detail) ?? ofProxy(status), {
      title: error?.title,
      kind: error?.type?.replace("urn:carecase:problem:", ""),
      retryAfterS,
      activityId: debug?.activityID,
    });
  }
}

/** A file that cannot be read or understood. */
export class FileFault extends Error {}

/** Return what is wrong with a text that goes in a header, as browsers send only the visible characters of ASCII; "" if nothing is. */
export function unsendable(text) {
  return /[^\x20-\x7e]/.test(text) ? "It has a character that cannot be sent, maybe an invisible one or a curly quote. Type it, or copy it anew." : "";
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function ofProxy(status) {
  if (status === 413) return "The file is larger than what a proxy before the service lets through. Send it in parts.";
  return status >= 500 ? AWAY : `The request was refused (${status}).`;
}

/** Return a detail without the advice for programs. */
const ofPage = (detail) => detail?.replace(/ Send the headers x-api-key .*$| \(\?mapping=NAME[^)]*\)/, "");
