/** Base64url, as tokens and PKCE have it, and random texts. */

/** Return bytes as base64url without padding. */
export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Return a text that nobody can guess: 256 random bits. */
export const randomText = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Return the code challenge of a verifier (RFC 7636, S256). */
export async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

/** Return the claims of a JWT without checking it; none if it is no JWT. */
export function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const text = new TextDecoder().decode(Uint8Array.from(atob(payload), (sign) => sign.charCodeAt(0)));
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
