/** The session: credentials that are kept in memory only, so they are gone with the page. */

export class Session extends EventTarget {
  #apiKey = "";
  #token = "";
  #isConfirmed = false;

  /** True once the service has taken the credentials. */
  get isOpen() {
    return this.#isConfirmed;
  }

  /** The claims of the token, for showing who is signed in; the service alone checks them. */
  get claims() {
    try {
      const payload = this.#token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      const text = new TextDecoder().decode(Uint8Array.from(atob(payload), (sign) => sign.charCodeAt(0)));
      return JSON.parse(text) ?? {};
    } catch {
      return {};
    }
  }

  get headers() {
    return {
      ...(this.#apiKey && { "x-api-key": this.#apiKey }),
      ...(this.#token && { Authorization: `Bearer ${this.#token}` }),
    };
  }

  /** Take credentials that the service has not seen yet. */
  open(apiKey, token) {
    [this.#apiKey, this.#token] = [apiKey, token];
  }

  confirm() {
    this.#isConfirmed = true;
    this.dispatchEvent(new CustomEvent("change", { detail: "" }));
  }

  forget() {
    [this.#apiKey, this.#token, this.#isConfirmed] = ["", "", false];
  }

  /** Sign out. `reason` is shown to whoever signs in next. */
  close(reason = "") {
    this.forget();
    this.dispatchEvent(new CustomEvent("change", { detail: reason }));
  }
}
