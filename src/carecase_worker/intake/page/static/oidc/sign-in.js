/** The sign-in with an OpenID provider: Authorization Code with PKCE, of a client that has no secret. */

import { challengeOf, randomText } from "./encoding.js";
import { SignInFault } from "./faults.js";
import { TokenSet } from "./tokens.js";
import { hostOf, Provider } from "./provider.js";
import { answerTo, openWindow, redirectUri } from "./window.js";

export class SignIn {
  #configured;
  #provider = null;

  constructor(configured) {
    this.#configured = configured;
  }

  /** The provider's host, by which people know it. */
  get host() {
    return hostOf(this.#configured);
  }

  /** Have somebody sign in; call it in answer to a click. Returns the tokens. Raises SignInFault. */
  async begin(signal) {
    if (!globalThis.crypto?.subtle) throw SignInFault.insecure();
    const opened = openWindow();
    try {
      this.#provider ??= await Provider.of(this.#configured);
      return await this.#given(opened, signal);
    } catch (fault) {
      opened.close();
      throw fault;
    }
  }

  async #given(opened, signal) {
    const provider = this.#provider;
    const [state, nonce, verifier] = [randomText(), randomText(), randomText()];
    const challenge = await challengeOf(verifier);
    signal.throwIfAborted();
    const answer = answerTo(state, signal);
    opened.location.replace(addressOf(provider, { state, nonce, challenge }));
    const { code, error, iss } = await answer;
    if ((iss !== undefined || provider.namesItself) && iss !== provider.issuer) throw SignInFault.foreign(provider.host, "iss");
    if (error !== undefined || !code) throw SignInFault.refused(provider.host, error);
    return TokenSet.of(provider, { code, verifier, redirectUri, nonce });
  }
}

function addressOf(provider, { state, nonce, challenge }) {
  const url = new URL(provider.endpoints.authorization);
  const parameters = {
    response_type: "code", client_id: provider.clientId, redirect_uri: redirectUri, scope: provider.scope,
    state, nonce, code_challenge: challenge, code_challenge_method: "S256", ...(provider.audience && audienceOf(provider)),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/** Return the parameters by which issuers are asked for a token for somebody: `audience`, and `resource` (RFC 8707) for a URL. */
const audienceOf = ({ audience }) => ({ audience, ...(URL.canParse(audience) && { resource: audience }) });
