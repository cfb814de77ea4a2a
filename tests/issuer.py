"""An OpenID provider of the tests' own, over real HTTP: strict, and at fault where a test wants it so."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_ID = "k1"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Faults:
    """What is wrong with it; nothing at first."""

    away: set[str] = field(default_factory=set)
    """Paths at which it takes a request and closes the connection."""
    answer: dict[str, str | None] = field(default_factory=dict)
    """Members of the authorization response that are others than they should be, or left out."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token, likewise."""
    document: dict[str, Any] = field(default_factory=dict)
    """Members of the configuration document, likewise."""
    tokens: dict[str, Any] = field(default_factory=dict)
    """Members of the token response, likewise."""
    renewal: tuple[int, str] | None = None
    """Status and error code with which it refuses to renew; it uses no refresh token up for that."""
    origin: str = "*"
    """The origin from which browsers may ask."""
    statuses: dict[str, int] = field(default_factory=dict)
    """The status with which it answers at each of these paths; the body is `page`."""
    page: bytes = b"<p>"
    """The body of the answers at `statuses`."""
    keys: list[dict[str, Any]] | None = None
    """Keys that it publishes in place of its own."""


@dataclass
class Issuer:
    """The provider, and what it was asked."""

    url: str
    client_id: str
    audience: str
    redirect_uris: list[str] = field(default_factory=list)
    lifetime_s: int = 3600
    gives_refresh_tokens: bool = True
    rotates: bool = True
    """Whether it gives another refresh token with each renewal; many keep the first one."""
    faults: Faults = field(default_factory=Faults)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    """Subjects by their refresh tokens; each is good for one use, unless it keeps them."""
    renewals: int = 0
    ended: list[str] = field(default_factory=list)
    """Subjects that have signed out."""
    revoked: list[str] = field(default_factory=list)

    def as_new(self) -> None:
        """Forget faults, codes, tokens and counts. A request in flight adds its refresh token to the forgotten ones."""
        self.lifetime_s, self.gives_refresh_tokens, self.rotates = 3600, True, True
        self.faults, self.renewals = Faults(), 0
        self.codes, self.refresh_tokens, self.ended, self.revoked = {}, {}, [], []

    def signed(self, claims: dict[str, Any]) -> str:
        now = int(time.time())
        common = {"iss": self.url, "iat": now, "exp": now + self.lifetime_s}
        return jwt.encode(common | claims, _KEY, "RS256", {"kid": KEY_ID})

    def tokens(self, subject: str, nonce: str | None, refresh_tokens: dict[str, str]) -> dict[str, Any]:
        """The token response for somebody; the refresh token is added to those that are given."""
        person: dict[str, Any] = {
            "sub": subject,
            "aud": self.client_id,
            "name": subject.title(),
            "nonce": nonce,
        } | self.faults.claims
        access = {"sub": subject, "aud": self.audience, "client_id": self.client_id, "jti": secrets.token_hex(8)}
        response: dict[str, Any] = {
            "access_token": self.signed(access),
            "id_token": self.signed({name: value for name, value in person.items() if value is not None}),
            "token_type": "Bearer",
            "expires_in": self.lifetime_s,
        }
        if self.gives_refresh_tokens:
            response["refresh_token"] = secrets.token_urlsafe(16)
            refresh_tokens[response["refresh_token"]] = subject
        return response | self.faults.tokens

    def is_asked_rightly(self, query: dict[str, str]) -> bool:
        """Whether an authorization request has all that one with PKCE and OpenID has."""
        return (
            query.get("client_id") == self.client_id
            and query.get("redirect_uri") in self.redirect_uris
            and query.get("response_type") == "code"
            and "openid" in query.get("scope", "").split()
            and query.get("code_challenge_method") == "S256"
            and all(len(query.get(name, "")) >= 22 for name in ("state", "nonce", "code_challenge"))
        )

    def granted(self, form: dict[str, str]) -> dict[str, Any] | str:
        """The token response to a form, or the error code that it gets instead."""
        if form.get("client_id") != self.client_id:
            return "invalid_client"
        refresh_tokens = self.refresh_tokens
        if form.get("grant_type") == "refresh_token":
            subject = refresh_tokens.pop(form.get("refresh_token", ""), None)
            self.renewals += 1
            return self._renewed(subject, form["refresh_token"], refresh_tokens) if subject else "invalid_grant"
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return "invalid_grant"
        return self.tokens(asked["subject"], asked["nonce"], refresh_tokens)

    def _renewed(self, subject: str, used: str, refresh_tokens: dict[str, str]) -> dict[str, Any]:
        response = self.tokens(subject, None, refresh_tokens)
        if not self.rotates:
            del refresh_tokens[response.pop("refresh_token")]
            refresh_tokens[used] = subject
        return response


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self) -> None:
        path, query = self._asked()
        if path in self.issuer.faults.away:
            return
        match path:
            case held if held in self.issuer.faults.statuses:
                self._send(
                    self.issuer.faults.statuses[held], "text/html", self.issuer.faults.page, {"Location": "/elsewhere"}
                )
            case "/.well-known/openid-configuration":
                self._json(200, self._document() | self.issuer.faults.document)
            case "/jwks":
                key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
                own = [key | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]
                self._json(200, {"keys": own if self.issuer.faults.keys is None else self.issuer.faults.keys})
            case "/authorize" if self.issuer.is_asked_rightly(query):
                self._page(query)
            case "/end-session":
                claims = jwt.decode(query["id_token_hint"], options={"verify_signature": False, "verify_exp": False})
                self.issuer.ended.append(claims["sub"])
                self._redirect(query["post_logout_redirect_uri"])
            case _:
                self._json(400, {"error": "invalid_request"})

    def do_POST(self) -> None:
        path, query = self._asked()
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if path in self.issuer.faults.away:
            return
        match path:
            case "/authorize":
                self._redirect(f"{query['redirect_uri']}?{urlencode(self._answer(query, form))}")
            case "/token":
                status, response = self._granted(form)
                self._json(status, response if isinstance(response, dict) else {"error": response})
            case "/revoke":
                self.issuer.revoked.append(self.issuer.refresh_tokens.pop(form["token"]))
                self._json(200, {})

    def _granted(self, form: dict[str, str]) -> tuple[int, dict[str, Any] | str]:
        if self.issuer.faults.renewal and form.get("grant_type") == "refresh_token":
            return self.issuer.faults.renewal
        response = self.issuer.granted(form)
        return (200 if isinstance(response, dict) else 400), response

    def _asked(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        return url.path, dict(parse_qsl(url.query))

    def _document(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks",
                  "end_session_endpoint": "end-session", "revocation_endpoint": "revoke"}  # fmt: skip
        methods = {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        return {"issuer": self.issuer.url, **methods} | {
            name: f"{self.issuer.url}/{path}" for name, path in places.items()
        }

    def _answer(self, query: dict[str, str], form: dict[str, str]) -> dict[str, str]:
        parameters = {"state": query["state"], "iss": self.issuer.url}
        if "decline" in form:
            return parameters | {"error": "access_denied"}
        code = secrets.token_urlsafe(16)
        self.issuer.codes[code] = query | {"subject": form["user"]}
        answer = {**parameters, "code": code, **self.issuer.faults.answer}
        return {name: value for name, value in answer.items() if value is not None}

    def _page(self, query: dict[str, str]) -> None:
        action = escape(f"/authorize?{urlencode(query)}", quote=True)
        self._send(
            200,
            "text/html; charset=utf-8",
            f"""<!doctype html><html lang="en"><title>Sign in to Example Care</title><body
                style="font: 1rem system-ui; max-width: 20rem; margin: 4rem auto"><h1>Example Care</h1>
                <form method="post" action="{action}"><p>
                <label>User <input name="user" value="ada" required></label></p>
                <button>Sign in</button> <button name="decline" value="1">Decline</button></form>""".encode(),
        )

    def _json(self, status: int, document: dict[str, Any]) -> None:
        allowed = {"Access-Control-Allow-Origin": self.issuer.faults.origin} if "Origin" in self.headers else {}
        self._send(status, "application/json", json.dumps(document).encode(), allowed)

    def _redirect(self, url: str) -> None:
        self._send(302, "text/plain", b"", {"Location": url})

    def _send(self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def an_issuer(client_id: str = "demo", audience: str = "carecase") -> Iterator[Issuer]:
    """Run a provider on a free port of this machine."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}", client_id, audience)
    handler.issuer = issuer  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings_of(issuer: Issuer) -> str:
    """The sections of a configuration by which an intake takes its tokens, and the page for jobs offers its sign-in."""
    return f"""
[jwt]
algorithms = ["HS256", "RS256"]
jwks_url = "{issuer.url}/jwks"
issuer = "{issuer.url}"
audience = "{issuer.audience}"

[oidc]
issuer = "{issuer.url}"
client_id = "{issuer.client_id}"
"""
