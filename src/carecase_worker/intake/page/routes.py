"""Routes of the page for jobs: the document under /app, its files, and what it has to know of the configuration."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carecase_worker.intake.http.responses.static_document import StaticDocument
from carecase_worker.settings.sections.intake import IntakeSettings

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
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing but files of this service runs or styles the page, it speaks to nobody else, and no text becomes markup."""
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_page(app: FastAPI, settings: IntakeSettings) -> None:
    """Add the routes of the page. All that it names is relative, so it works under any path prefix."""
    told = json.dumps({"require": settings.require}).encode()
    configuration = StaticDocument.of(told, "application/json", _HEADERS)

    async def index(request: Request) -> Response:
        return _documents()[_INDEX].answer(request)

    async def to_index(_: Request) -> Response:
        return RedirectResponse("../app", 308)

    async def settings_of_page(request: Request) -> Response:
        return configuration.answer(request)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == _INDEX or name not in _documents():
            raise HTTPException(404)
        return _documents()[name].answer(request)

    routes = (
        ("/app", index),
        ("/app/", to_index),
        ("/app/settings.json", settings_of_page),
        ("/app/{name:path}", file),
    )
    for path, endpoint in routes:
        app.add_route(path, endpoint, include_in_schema=False)


@cache
def _documents() -> Mapping[str, StaticDocument]:
    """Read the files of the page, by their paths below /app."""
    return {
        path.relative_to(_FILES).as_posix(): StaticDocument.of(path.read_bytes(), _MEDIA_TYPES[path.suffix], _HEADERS)
        for path in _FILES.rglob("*")
        if path.is_file()
    }
