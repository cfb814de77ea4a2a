"""Public documents, served without credentials: the description and its page. Each is made once and kept as bytes."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carecase_worker.intake.http.compression import compressed
from carecase_worker.intake.http.negotiation import ENCODINGS, encoding, names_version

_DESCRIPTION, _FILES = "/openapi.json", "/static-offline-docs"
_FILE_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_PIECE_BYTES = 64 << 10
"""Bytes of a piece of a response: a slow reader then holds one piece, not a copy of the whole document."""
_PREFIXES = 8
"""Path prefixes for which the description is kept; usually there is one."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in each of our encodings; None stands for no encoding."""

    media_type: str
    contents: Mapping[str | None, bytes]
    digest: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "Document":
        """Make the document with this content."""
        contents = {name: b"".join(compressed([content], name)) for name in (None, *ENCODINGS)}
        return cls(media_type, contents, hashlib.sha256(content).hexdigest()[:32])

    def answer(self, request: Request) -> Response:
        """Respond with the document in the encoding that the client prefers; 304 if it has it already."""
        chosen = encoding(request.headers.get("accept-encoding"))
        tag = f'"{self.digest}-{chosen or "plain"}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding"}
        if names_version(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        if chosen:
            headers["Content-Encoding"] = chosen
        content = self.contents[chosen]
        headers["Content-Length"] = str(len(content))
        return StreamingResponse(_pieces(content), 200, headers, self.media_type)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE_BYTES):
        yield content[start : start + _PIECE_BYTES]


@cache
def _file(name: str) -> Document:
    """Read a file of the page; it is served from here, not from a third party."""
    place = Path(fastapi_offline.__file__).parent / "static" / name
    return Document.of(place.read_bytes(), _FILE_TYPES[name])


def add_public(app: FastAPI) -> None:
    """Add the routes of the description, its page and the page's files."""

    @lru_cache(_PREFIXES)
    def description(root_path: str) -> Document:
        told = app.openapi()
        servers = told["servers"]
        if root_path and {"url": root_path} not in servers:
            told = {**told, "servers": [{"url": root_path}, *servers]}
        return Document.of(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(), "application/json")

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
