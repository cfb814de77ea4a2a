/** The tokens that the provider gave to whoever signed in: kept in memory only, and renewed by themselves if they can be. */

import { claimsOf } from "./encoding.js";
import { SignInFault } from "./faults.js";

const LEEWAY_S = 60;

export class TokenSet {
  #provider;
  #refreshToken;

  constructor(provider, response, { idToken, refreshToken, subject }) {
    this.#provider = provider;
    this.#refreshToken = refreshToken;
    this.token = response.access_token;
    this.idToken = idToken;
    this.subject = subject;
    this.endsAt = endOf(response);
  }

  /** Take the tokens of an authorization code. Raises SignInFault. */
  static async of(provider, { code, verifier, redirectUri, nonce }) {
    const response = await provider.token({ grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: redirectUri });
    const claims = claimsOf(response.id_token ?? "");
    requireOwn(provider, claims);
    if (claims.nonce !== nonce) throw SignInFault.foreign(provider.host, "nonce");
    requireToken(provider, response.access_token);
    return new TokenSet(provider, response, { idToken: response.id_token, refreshToken: response.refresh_token, subject: claims.sub });
  }

  /** The claims of the ID token, for showing who is signed in. */
  get person() {
    return claimsOf(this.idToken);
  }

  get secondsLeft() {
    return (this.endsAt - Date.now()) / 1000;
  }

  /** True if the provider renews them without asking anybody. */
  get renewsItself() {
    return Boolean(this.#refreshToken);
  }

  /** Return tokens in place of these. Raises SignInFault. */
  async renewed() {
    const response = await this.#provider.token({ grant_type: "refresh_token", refresh_token: this.#refreshToken });
    if (response.id_token) {
      const claims = claimsOf(response.id_token);
      requireOwn(this.#provider, claims);
      if (claims.sub !== this.subject) throw SignInFault.foreign(this.#provider.host, "sub");
    }
    requireToken(this.#provider, response.access_token);
    return new TokenSet(this.#provider, response, {
      idToken: response.id_token ?? this.idToken,
      refreshToken: response.refresh_token ?? this.#refreshToken,
      subject: this.subject,
    });
  }

  /** Have the provider forget the refresh token. Returns the address to sign out at, null if it has none. */
  ended(returnTo) {
    if (this.#refreshToken) this.#provider.revoke(this.#refreshToken);
    if (!this.#provider.endpoints.endSession) return null;
    const url = new URL(this.#provider.endpoints.endSession);
    const parameters = { id_token_hint: this.idToken, client_id: this.#provider.clientId, post_logout_redirect_uri: returnTo };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url;
  }
}

/**
 * Check the claims of an ID token that came from the token endpoint itself. Its signature need not be checked then
 * (OpenID Connect Core, 3.1.3.7): TLS has shown who sent it. Raises SignInFault.
 */
function requireOwn(provider, claims) {
  const audiences = [claims.aud].flat();
  if (claims.iss !== provider.issuer) throw SignInFault.foreign(provider.host, "iss");
  if (!audiences.includes(provider.clientId) || (claims.azp ?? provider.clientId) !== provider.clientId) throw SignInFault.foreign(provider.host, "aud");
  if (typeof claims.sub !== "string") throw SignInFault.foreign(provider.host, "sub");
  if (!(claims.exp > Date.now() / 1000 - LEEWAY_S)) throw SignInFault.late(provider.host);
}

/** Check that an access token is one that the service can check. Raises SignInFault. */
function requireToken(provider, token) {
  if (token.split(".").length !== 3) throw SignInFault.misfit(provider.host, "its token is none that the service can check; oidc.audience or oidc.scopes must name the service.");
}

/** Return the moment at which a token ends, by the clock of this computer. */
function endOf({ expires_in: seconds, access_token: token }) {
  if (Number(seconds) > 0) return Date.now() + Number(seconds) * 1000;
  return (claimsOf(token).exp ?? Infinity) * 1000;
}
