"""Static documents, made once and served from memory without credentials."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carecase_worker.intake.http.requests.negotiation import ENCODINGS, encoding, names_version
from carecase_worker.intake.http.responses.compression import compressed

_PIECE_BYTES = 64 << 10
"""Size in bytes of a piece of a response: a slow reader then occupies one piece, not a copy of the document."""


@dataclass(frozen=True, slots=True)
class StaticDocument:
    """A document in each supported encoding, by name; None is no encoding."""

    media_type: str
    contents: Mapping[str | None, bytes]
    digest: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> "StaticDocument":
        """Make the document with this content, and additional headers of its responses."""
        contents = {name: b"".join(compressed([content], name)) for name in (None, *ENCODINGS)}
        return cls(media_type, contents, hashlib.sha256(content).hexdigest()[:32], headers or {})

    def answer(self, request: Request) -> Response:
        """Respond with the document in the encoding that the client prefers; 304 if the client already has it."""
        chosen = encoding(request.headers.get("accept-encoding"))
        tag = f'"{self.digest}-{chosen or "plain"}"'
        # a browser replaces the headers that it keeps by those of a 304
        headers = {**self.headers, "ETag": tag, "Vary": "Accept-Encoding"}
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
