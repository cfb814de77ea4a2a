/** The OpenID provider that signs people in: its endpoints, and what it is asked without anybody seeing it. */

import { SignInFault } from "./faults.js";

const PATIENCE_MS = 10_000;
const DISCOVERY = "/.well-known/openid-configuration";
const NAMES = { authorization: "authorization_endpoint", token: "token_endpoint", endSession: "end_session_endpoint", revocation: "revocation_endpoint" };
const HERE = new Set(["127.0.0.1", "localhost", "[::1]"]);

export class Provider {
  #origins;

  constructor(configured, endpoints, { namesItself = false } = {}) {
    this.issuer = configured.issuer;
    this.host = hostOf(configured);
    this.clientId = configured.clientId;
    this.scope = configured.scope;
    this.audience = configured.audience;
    this.endpoints = endpoints;
    /** True if its answers must say that they are from it (RFC 9207). */
    this.namesItself = namesItself;
    this.#origins = configured.origins;
  }

  /** Find the provider: by the endpoints that are configured, and by what it publishes of the others. Raises SignInFault. */
  static async of(configured) {
    const { authorization, token } = configured.endpoints;
    const published = authorization && token ? {} : await publishedOf(configured);
    const endpoints = Object.fromEntries(Object.entries(NAMES).map(([name, member]) => [name, configured.endpoints[name] ?? published[member]]));
    const provider = new Provider(configured, endpoints, { namesItself: published.authorization_response_iss_parameter_supported === true });
    provider.#check();
    return provider;
  }

  /** Ask the token endpoint. Returns its response. Raises SignInFault. */
  async token(parameters) {
    const body = new URLSearchParams({ ...parameters, client_id: this.clientId });
    const { status, json } = await fetchedJson(this.host, this.endpoints.token, { method: "POST", body });
    if (status >= 500 || status === 429 || json.error === "temporarily_unavailable") throw SignInFault.away(this.host);
    if (status !== 200 || typeof json.access_token !== "string") throw SignInFault.noToken(this.host, json.error);
    return json;
  }

  /** Have a refresh token forgotten (RFC 7009), without waiting for it. */
  revoke(token) {
    if (!this.endpoints.revocation || !this.#mayAsk(this.endpoints.revocation)) return;
    const body = new URLSearchParams({ token, token_type_hint: "refresh_token", client_id: this.clientId });
    fetch(this.endpoints.revocation, { ...ALONE, method: "POST", body, keepalive: true }).catch(() => {});
  }

  #check() {
    for (const name of ["authorization", "token"]) {
      if (!isSecure(this.endpoints[name])) throw SignInFault.misfit(this.host, `its ${NAMES[name]} is missing, or not https.`);
    }
    if (!isSecure(this.endpoints.endSession)) this.endpoints.endSession = null;
    if (!this.#mayAsk(this.endpoints.token)) {
      throw SignInFault.misfit(this.host, "its token_endpoint is at another host, and must be named by the setting oidc.token_endpoint.");
    }
  }

  /** True if the policy of this page lets it ask a URL. */
  #mayAsk(url) {
    return this.#origins.includes(new URL(url).origin);
  }
}

/** Return the provider's host, by which people know it. */
export const hostOf = ({ issuer }) => new URL(issuer).host;

const ALONE = { credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" };

async function publishedOf(configured) {
  const host = hostOf(configured);
  const ask = () => fetchedJson(host, configured.issuer.replace(/\/$/, "") + DISCOVERY, {});
  const { status, json } = await ask().catch(ask); // a request that changes nothing may be repeated
  if (status !== 200) throw SignInFault.away(host);
  if (json.issuer !== configured.issuer) throw SignInFault.misfit(host, "it calls itself by another name than the setting oidc.issuer.");
  return json;
}

async function fetchedJson(host, url, options) {
  try {
    const response = await fetch(url, { ...ALONE, signal: AbortSignal.timeout(PATIENCE_MS), ...options });
    return { status: response.status, json: (await response.json().catch(() => null)) ?? {} };
  } catch {
    throw SignInFault.away(host);
  }
}

function isSecure(text) {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : null;
  return url !== null && (url.protocol === "https:" || (url.protocol === "http:" && HERE.has(url.hostname)));
}
