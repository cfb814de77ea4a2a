/** The session: credentials that are kept in memory only, so they are gone with the page. */

import { claimsOf } from "./oidc/encoding.js";

/** A token that ends within so many seconds is renewed before a request. */
const RENEW_S = 30;

export class Session extends EventTarget {
  #apiKey = "";
  #token = "";
  #grant = null;
  #isConfirmed = false;
  #again;
  #renewing = null;

  /** `again` is given a grant that has ended, and returns one in its place once somebody has signed in again, else null. */
  constructor(again) {
    super();
    this.#again = again;
  }

  /** True once the service has taken the credentials. */
  get isOpen() {
    return this.#isConfirmed;
  }

  /** What the provider gave to whoever signed in with it; null if a token was typed in. */
  get grant() {
    return this.#grant;
  }

  /** The claims of the token, for showing who is signed in; the service alone checks them. */
  get claims() {
    return claimsOf(this.#token);
  }

  /** Seconds until the token ends and somebody has to do something about it; infinite if it renews itself. */
  get secondsLeft() {
    if (this.#grant) return this.#grant.renewsItself ? Infinity : this.#grant.secondsLeft;
    return (this.claims.exp ?? Infinity) - Date.now() / 1000;
  }

  get headers() {
    return {
      ...(this.#apiKey && { "x-api-key": this.#apiKey }),
      ...(this.#token && { Authorization: `Bearer ${this.#token}` }),
    };
  }

  /** Take credentials that the service has not seen yet. */
  open(apiKey, token, grant = null) {
    [this.#apiKey, this.#token, this.#grant] = [apiKey, grant?.token ?? token, grant];
  }

  confirm() {
    this.#isConfirmed = true;
    this.dispatchEvent(new CustomEvent("change", { detail: "" }));
  }

  forget() {
    [this.#apiKey, this.#token, this.#grant, this.#isConfirmed] = ["", "", null, false];
  }

  /** Sign out. `reason` is shown to whoever signs in next. */
  close(reason = "") {
    this.forget();
    this.dispatchEvent(new CustomEvent("change", { detail: reason }));
  }

  /** Have a token that is good for the next request. Raises SignInFault if it has ended and cannot be renewed now. */
  async ready() {
    const grant = this.#grant;
    if (!grant || !this.#isConfirmed || grant.secondsLeft > (grant.renewsItself ? RENEW_S : 0)) return;
    try {
      await this.renew();
    } catch (fault) {
      if (grant.secondsLeft <= 0) throw fault;
    }
  }

  /** Return true if there is another token by now than the one of these headers, which the service has refused. */
  async replaced({ Authorization: refused }) {
    const grant = this.#grant;
    if (!grant || !this.#isConfirmed) return false;
    if (this.headers.Authorization === refused && (grant.renewsItself || grant.secondsLeft <= 0)) await this.renew();
    return this.#isConfirmed && this.headers.Authorization !== refused;
  }

  /** Renew the grant: by itself if it can, else whoever is there signs in again. Raises SignInFault. */
  renew() {
    this.#renewing ??= this.#renewed(this.#grant).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renewed(former) {
    const grant = (await byItself(former)) ?? (await this.#again(former));
    if (this.#grant !== former) return; // signed out meanwhile
    if (!grant) return former.secondsLeft > 0 ? undefined : this.close();
    [this.#grant, this.#token] = [grant, grant.token];
    this.dispatchEvent(new CustomEvent("renewed"));
  }
}

/** Return the grant in place of one that renews itself; null if the provider wants somebody to sign in again. */
async function byItself(grant) {
  if (!grant.renewsItself) return null;
  try {
    return await grant.renewed();
  } catch (fault) {
    if (fault.isRefused) return null;
    throw fault;
  }
}
