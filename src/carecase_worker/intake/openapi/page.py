"""Public documents, served without credentials: the OpenAPI document and its page, each made once and cached."""

import json
from functools import cache, lru_cache
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from carecase_worker.intake.http.responses.static_document import StaticDocument

_DESCRIPTION, _FILES = "/openapi.json", "/static-offline-docs"
_FILE_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_PREFIXES = 8
"""Maximum number of path prefixes whose documents are cached; usually there is one."""


@cache
def _file(name: str) -> StaticDocument:
    """Read a file of the page; it is served from here, not by a third party."""
    place = Path(fastapi_offline.__file__).parent / "static" / name
    return StaticDocument.of(place.read_bytes(), _FILE_TYPES[name])


def add_public(app: FastAPI) -> None:
    """Add the routes of the description, its page and the page's files."""

    @lru_cache(_PREFIXES)
    def description(root_path: str) -> StaticDocument:
        document = app.openapi()
        servers = document["servers"]
        if root_path and {"url": root_path} not in servers:
            document = {**document, "servers": [{"url": root_path}, *servers]}
        return StaticDocument.of(
            json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
        )

    async def openapi(request: Request) -> Response:
        return description(request.scope["root_path"]).answer(request)

    async def docs(request: Request) -> Response:
        files = f"{request.scope['root_path']}{_FILES}"
        return get_swagger_ui_html(
            openapi_url=f"{request.scope['root_path']}{_DESCRIPTION}",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{files}/swagger-ui-bundle.js",
            swagger_css_url=f"{files}/swagger-ui.css",
            swagger_favicon_url=f"{files}/favicon.png",
        )

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILE_TYPES:
            raise HTTPException(404)
        return _file(name).answer(request)

    for path, endpoint in ((_DESCRIPTION, openapi), ("/docs", docs), (f"{_FILES}/{{name}}", file)):
        app.add_route(path, endpoint, include_in_schema=False)
