/** The session: credentials that are kept in memory only, so they are gone with the page. */

import { claimsOf } from "./oidc/encoding.js";

/** A token that ends within so many seconds is renewed before a request. */
const RENEW_S = 30;

export class Session extends EventTarget {
  #apiKey = "";
  #token = "";
  #tokens = null;
  #isConfirmed = false;
  #again;
  #renewing = null;

  /** `again` is given tokens that have ended, and returns others once somebody has signed in again, else null. */
  constructor(again) {
    super();
    this.#again = again;
  }

  /** True once the service has taken the credentials. */
  get isOpen() {
    return this.#isConfirmed;
  }

  /** What the provider gave to whoever signed in with it; null if a token was typed in. */
  get tokens() {
    return this.#tokens;
  }

  /** The claims of the token, for showing who is signed in; the service alone checks them. */
  get claims() {
    return claimsOf(this.#token);
  }

  /** Seconds until the token ends and somebody has to do something about it; infinite if it renews itself. */
  get secondsLeft() {
    if (this.#tokens) return this.#tokens.renewsItself ? Infinity : this.#tokens.secondsLeft;
    return (this.claims.exp ?? Infinity) - Date.now() / 1000;
  }

  get headers() {
    return {
      ...(this.#apiKey && { "x-api-key": this.#apiKey }),
      ...(this.#token && { Authorization: `Bearer ${this.#token}` }),
    };
  }

  /** Take credentials that the service has not seen yet. */
  open(apiKey, token, tokens = null) {
    [this.#apiKey, this.#token, this.#tokens] = [apiKey, tokens?.token ?? token, tokens];
  }

  confirm() {
    this.#isConfirmed = true;
    this.dispatchEvent(new CustomEvent("change", { detail: "" }));
  }

  forget() {
    [this.#apiKey, this.#token, this.#tokens, this.#isConfirmed] = ["", "", null, false];
  }

  /** Sign out. `reason` is shown to whoever signs in next. */
  close(reason = "") {
    this.forget();
    this.dispatchEvent(new CustomEvent("change", { detail: reason }));
  }

  /** Have a token that is good for the next request. Raises SignInFault if it has ended, and cannot be renewed now. */
  async ready() {
    const tokens = this.#tokens;
    if (!tokens || !this.#isConfirmed || tokens.secondsLeft > (tokens.renewsItself ? RENEW_S : 0)) return;
    try {
      await this.renew();
    } catch (fault) {
      if (tokens.secondsLeft <= 0) throw fault;
    }
  }

  /** Return true if there is another token by now than the one of these headers, which the service has refused. */
  async replaced({ Authorization: refused }) {
    const tokens = this.#tokens;
    if (!tokens || !this.#isConfirmed) return false;
    if (this.headers.Authorization === refused && (tokens.renewsItself || tokens.secondsLeft <= 0)) await this.renew();
    return this.#isConfirmed && this.headers.Authorization !== refused;
  }

  /** Renew the tokens: by themselves if they can be, else whoever is there signs in again. Raises SignInFault. */
  renew() {
    this.#renewing ??= this.#renewed(this.#tokens).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renewed(former) {
    let tokens = await byItself(former);
    if (this.#tokens !== former) return; // signed out meanwhile
    tokens ??= await this.#again(former);
    if (this.#tokens !== former) return;
    if (!tokens) return former.secondsLeft > 0 ? undefined : this.close();
    [this.#tokens, this.#token] = [tokens, tokens.token];
    this.dispatchEvent(new CustomEvent("renewed"));
  }
}

/** Return the tokens in place of those that renew themselves; null if the provider wants somebody to sign in again. */
async function byItself(tokens) {
  if (!tokens.renewsItself) return null;
  try {
    return await tokens.renewed();
  } catch (fault) {
    if (fault.isRefused) return null;
    throw fault;
  }
}
