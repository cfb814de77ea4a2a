/** Faults of a sign-in, in words that say what to do next. */

const TELL = "tell the operator of the service";
/** Errors by which providers want somebody to sign in again (RFC 6749, 5.2; OpenID Connect Core, 3.1.2.6; Entra gives these to a refresh, too). */
const ENDED = new Set(["invalid_grant", "interaction_required", "login_required", "consent_required"]);
const WORD = /^[\w.-]{1,60}$/;

/** A sign-in that failed. `passes` is true if the same may succeed later, `isRefused` if the provider wants a new one. */
export class SignInFault extends Error {
  constructor(text, { passes = false, isRefused = false } = {}) {
    super(text);
    Object.assign(this, { passes, isRefused, status: 0, retryAfterS: null });
  }

  static away(host) {
    return new SignInFault(`${host}, which signs you in, does not answer, or does not let this page ask it. Try again in a minute; if it stays so, ${TELL}.`, { passes: true });
  }

  static blocked() {
    return new SignInFault("The browser did not let the page open a window. Allow pop-up windows for this page, and press the button again.");
  }

  static insecure() {
    return new SignInFault("Signing in works only over https: open this page with https://.");
  }

  /** The provider's configuration document does not fit what the service is configured with. */
  static misfit(host, what) {
    return new SignInFault(`The sign-in with ${host} is not set up rightly: ${what} Please ${TELL}.`);
  }

  /** The provider refused to sign in (RFC 6749, 4.1.2.1). */
  static refused(host, error) {
    if (error === "access_denied") return new SignInFault(`${host} did not sign you in: it was declined, or you may not use this service. Try again, or ${TELL}.`);
    return new SignInFault(`${host} did not sign you in${named(error)}. Try again; if it stays so, ${TELL}.`);
  }

  /** The provider refused to give a token (RFC 6749, 5.2). */
  static noToken(host, error) {
    if (ENDED.has(error)) return new SignInFault("This sign-in has ended, or was used before. Sign in again.", { isRefused: true });
    return new SignInFault(`${host} gave no token${named(error)}. Sign in again; if it stays so, ${TELL}.`);
  }

  /** An answer is not what this sign-in asked for. */
  static foreign(host, what) {
    return new SignInFault(`What came back from ${host} is not the answer to this sign-in (${what}), so nobody was signed in. Sign in again; if it happens again, ${TELL}.`);
  }

  static late(host) {
    return new SignInFault(`The sign-in that ${host} answered with had already ended. Check the clock of this computer, and sign in again.`);
  }

  static otherPerson() {
    return new SignInFault("Somebody else has signed in. Sign in as before, or sign out first.");
  }
}

const named = (error) => (WORD.test(error ?? "") ? ` (${error})` : "");
