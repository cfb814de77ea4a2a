"""Routes of the page for jobs: the document under /app, its files, and its configuration."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carecase_worker.intake.http.responses.static_document import StaticDocument
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.settings.sections.oidc import OidcSettings

_FILES = Path(__file__).parent / "static"
_INDEX = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'{}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Only scripts and styles of this service apply to the page, it connects only to the service and to the configured
issuer, and no text becomes markup."""


def add_page(app: FastAPI, settings: IntakeSettings, oidc: OidcSettings) -> None:
    """Add the routes of the page. Its links are relative, so it works under any path prefix."""
    documents = _documents(oidc.origins)
    content = json.dumps({"require": settings.require, "oidc": _sign_in_settings(oidc)}).encode()
    configuration = StaticDocument.of(content, "application/json", _headers(oidc.origins))

    async def index(request: Request) -> Response:
        return documents[_INDEX].answer(request)

    async def to_index(_: Request) -> Response:
        return RedirectResponse("../app", 308)

    async def settings_of_page(request: Request) -> Response:
        return configuration.answer(request)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == _INDEX or name not in documents:
            raise HTTPException(404)
        return documents[name].answer(request)

    routes = (
        ("/app", index),
        ("/app/", to_index),
        ("/app/settings.json", settings_of_page),
        ("/app/{name:path}", file),
    )
    for path, endpoint in routes:
        app.add_route(path, endpoint, include_in_schema=False)


def _sign_in_settings(oidc: OidcSettings) -> Mapping[str, Any] | None:
    """Return the page's settings for sign-in, none of them secret; None without an issuer."""
    if oidc.issuer is None:
        return None
    return {
        "issuer": oidc.issuer,
        "clientId": oidc.client_id,
        "scope": " ".join(oidc.scopes),
        "audience": oidc.audience,
        "origins": oidc.origins,
        "endpoints": {
            "authorization": oidc.authorization_endpoint,
            "token": oidc.token_endpoint,
            "endSession": oidc.end_session_endpoint,
        },
    }


def _headers(origins: Sequence[str]) -> Mapping[str, str]:
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY.format("".join(f" {origin}" for origin in origins)),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


@cache
def _documents(origins: tuple[str, ...]) -> Mapping[str, StaticDocument]:
    """Read the files of the page, by their paths below /app."""
    headers = _headers(origins)
    return {
        path.relative_to(_FILES).as_posix(): StaticDocument.of(path.read_bytes(), _MEDIA_TYPES[path.suffix], headers)
        for path in _FILES.rglob("*")
        if path.is_file()
    }
