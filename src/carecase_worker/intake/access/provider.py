"""A look at the OpenID provider of the page for jobs: what it publishes, and what the page needs of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit

from carecase_worker.errors import KeysUnavailable
from carecase_worker.intake.access.jwks import MOST_BYTES, jwks_of, keys_of, opened
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.settings.sections.oidc import OidcSettings

_DISCOVERY = "/.well-known/openid-configuration"
_MOST_CHARACTERS = 200
_LEADS_BACK = "signed-in.html"
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""A code challenge as any other: that of RFC 7636, appendix B. Its verifier is known, and no code is given for it."""
_HERE = ("127.0.0.1", "localhost", "::1")
_ENDPOINTS = ("authorization_endpoint", "token_endpoint")


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on the sign-in, by the setting that it is about; `is_mistake` if nobody can sign in as it is."""

    setting: str
    text: str
    is_mistake: bool = True


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


def provider_remarks(oidc: OidcSettings, jwt: JwtSettings, page: str | None) -> Iterator[Remark]:
    """Yield what is wrong, or may be, with the sign-in at the issuer, and what to do.

    `page` is the address of the page for jobs, as people open it: without it nothing can be said of what the provider
    allows to that address.
    """
    if oidc.issuer is None:
        return
    published = yield from _published(oidc)
    if published is None:
        return
    yield from _endpoints(oidc, published)
    yield from _methods(oidc, published)
    yield from _keys(jwt, published)
    if jwt.issuer != oidc.issuer:
        text = "differs from oidc.issuer: right only if the iss of the provider's access tokens is not its own name"
        yield Remark("jwt.issuer", text, is_mistake=False)
    if page is None:
        text = "redirect URI and CORS are not checked; for that, give the page's address: --page https://HOST/app"
        yield Remark("oidc.client_id", text, is_mistake=False)
    else:
        yield from _page(oidc, published, page)


def _published(oidc: OidcSettings) -> "Iterator[Remark] | Any":
    """Return the configuration document; None if there is none that can be used."""
    url = f"{(oidc.issuer or '').rstrip('/')}{_DISCOVERY}"
    is_needed = oidc.authorization_endpoint is None or oidc.token_endpoint is None
    answer = _asked(url)
    if answer is None:
        text = f"{url} does not respond; check the address, the provider, and that this machine trusts its certificate"
        yield Remark("oidc.issuer", text, is_needed)
        return None
    if answer.status != 200:
        more = (
            "set oidc.issuer to where it leads"
            if 300 <= answer.status < 400
            else "check that it is the issuer's address"
        )
        text = f"{url} responds with {answer.status} instead of the configuration document; {more}"
        yield Remark("oidc.issuer", text, is_needed)
        return None
    document = _document_of(answer.content)
    if document is None:
        yield Remark("oidc.issuer", f"{url} is not a configuration document: it is not a JSON object", is_needed)
        return None
    named = document.get("issuer")
    if named != oidc.issuer:
        is_name = isinstance(named, str) and named.isprintable() and 0 < len(named) <= _MOST_CHARACTERS
        shown = named if is_name else f"by another name, which {url} says"
        text = f"the provider calls itself {shown}; set oidc.issuer to exactly that"
        yield Remark("oidc.issuer", text, is_needed)
    return document


def _endpoints(oidc: OidcSettings, published: Mapping[str, Any]) -> Iterator[Remark]:
    for name in _ENDPOINTS:
        url: Any = getattr(oidc, name) or published.get(name)
        if not _is_secure(url):
            yield Remark(f"oidc.{name}", "is not published by the provider as an https URL; set it")
        elif name == "token_endpoint" and _origin_of(url) not in oidc.origins:
            yield Remark(f"oidc.{name}", f"must be set: it is at another host than the issuer, {_origin_of(url)}")


def _methods(oidc: OidcSettings, published: Mapping[str, Any]) -> Iterator[Remark]:
    """Yield what the provider says that it does not take of what the page sends."""
    methods = published.get("code_challenge_methods_supported")
    if methods is None:
        text = "the provider does not announce PKCE; check that the client there has it, with S256"
        yield Remark("oidc.client_id", text, is_mistake=False)
    elif "S256" not in _names(methods):
        yield Remark(
            "oidc.client_id", "the provider does not support PKCE with S256, which the page uses; enable it there"
        )
    if (flows := published.get("response_types_supported")) is not None and "code" not in _names(flows):
        yield Remark("oidc.client_id", "the provider does not support the authorization code flow; enable it there")
    if (scopes := published.get("scopes_supported")) is not None:
        absent = [scope for scope in oidc.scopes if scope not in _names(scopes)]
        if absent:
            text = f"the provider does not name {', '.join(absent)} among its scopes; it may refuse the sign-in"
            yield Remark("oidc.scopes", text, is_mistake=False)


def _keys(jwt: JwtSettings, published: Mapping[str, Any]) -> Iterator[Remark]:
    """Yield what keeps tokens of the provider from being checked by the keys that are configured."""
    url, source = published.get("jwks_uri"), jwt.jwks_source
    if not _is_secure(url):
        yield Remark(
            source, "the provider publishes no jwks_uri; check that the keys are those of its access tokens", False
        )
        return
    if url == jwt.jwks_url:
        return  # these are looked at by themselves
    answer = _asked(str(url))
    try:
        keys = keys_of(answer.content) if answer and answer.status == 200 else {}
    except ValueError:
        keys = {}
    if not keys:
        yield Remark(source, f"the provider's own keys ({url}) cannot be read, or none can be used")
        return
    configured = jwks_of(jwt)
    try:
        known = configured is not None and any(configured.find(name) is not None for name in keys)
    except KeysUnavailable:
        return  # the line about the keys says so
    if not known:
        yield Remark(source, f"has none of the keys that the provider signs with; set jwt.jwks_url to {url}")


def _page(oidc: OidcSettings, published: Mapping[str, Any], page: str) -> Iterator[Remark]:
    """Yield what the provider does not allow to the page at an address: asking from there, and coming back to there."""
    origin = _origin_of(page)
    asked: dict[str, tuple[str, bytes | None]] = {}
    if oidc.authorization_endpoint is None or oidc.token_endpoint is None:
        asked["configuration document"] = f"{(oidc.issuer or '').rstrip('/')}{_DISCOVERY}", None
    if _is_secure(token := oidc.token_endpoint or published.get("token_endpoint")):
        refused = urlencode({"grant_type": "refresh_token", "refresh_token": "none", "client_id": oidc.client_id or ""})
        asked["token endpoint"] = str(token), refused.encode()
    for name, (url, form) in asked.items():
        answer = _asked(url, form, origin)
        if answer is None:
            yield Remark("oidc.issuer", f"its {name} does not respond")
        elif answer.headers.get("access-control-allow-origin") not in ("*", origin):
            text = f"its {name} does not allow requests from {origin}; allow that origin (CORS) at the provider"
            yield Remark("oidc.issuer", text)
    if _is_secure(place := oidc.authorization_endpoint or published.get("authorization_endpoint")):
        yield from _redirect(oidc, str(place), f"{page.rstrip('/')}/{_LEADS_BACK}")


def _redirect(oidc: OidcSettings, url: str, back: str) -> Iterator[Remark]:
    """Yield if the provider does not lead back to an address. It is asked as by the page, but to show nothing."""
    query = {
        "client_id": oidc.client_id or "",
        "redirect_uri": back,
        "response_type": "code",
        "scope": " ".join(oidc.scopes),
        "code_challenge_method": "S256",
        "code_challenge": _CHALLENGE,
        "state": _CHALLENGE,
        "nonce": _CHALLENGE,
        "prompt": "none",
    }
    answer = _asked(f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}")
    if answer is None:
        yield Remark("oidc.authorization_endpoint", "does not answer")
    elif answer.status >= 400:
        text = f"the provider refuses the client with the redirect URI {back} ({answer.status}); register both there"
        yield Remark("oidc.client_id", text)


def _asked(url: str, form: bytes | None = None, origin: str | None = None) -> _Answer | None:
    """Ask the provider as the page does, without following redirects; None if there is no answer."""
    try:
        with opened(url, form, origin) as answer:
            return _Answer(answer.status, _lower(answer.headers), answer.read(MOST_BYTES))
    except HTTPError as error:
        with error:
            return _Answer(error.code, _lower(error.headers), b"")
    except (URLError, HTTPException, OSError, ValueError):
        return None


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _document_of(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _names(published: Any) -> list[Any]:
    return published if isinstance(published, list) else []


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_secure(url: Any) -> bool:
    """Return true for a URL of https, or of http on this machine."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return False
    return parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE))
