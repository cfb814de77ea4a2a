"""Behind a proxy that speaks IPv4 to an intake that listens on `::`, where such addresses arrive as IPv6."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from carecase_worker.intake.forwarded import Forwarded

TOLD = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-prefix", b"/edge")]


def served(peer: str, trusted: list[str]) -> Scope:
    """What the application sees of a request."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> None:
        return None

    scope = {
        "type": "http",
        "path": "/jobs",
        "headers": TOLD,
        "client": (peer, 4711),
        "scheme": "http",
        "root_path": "",
    }
    asyncio.run(Forwarded(app, "", trusted)(scope, nothing, nothing))  # type: ignore[arg-type]
    return seen[0]


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7"])
@pytest.mark.parametrize("trusted", ["10.0.0.7", "10.0.0.0/24", "::ffff:10.0.0.7", "::ffff:10.0.0.0/120"])
def test_a_named_proxy_is_believed_whichever_way_its_address_is_written(peer: str, trusted: str) -> None:
    scope = served(peer, [trusted])
    assert (scope["client"][0], scope["scheme"], scope["root_path"]) == ("198.51.100.1", "https", "/edge")


@pytest.mark.parametrize("peer", ["10.0.1.7", "::ffff:10.0.1.7"])
def test_another_one_is_told_as_it_is_and_not_believed(peer: str) -> None:
    scope = served(peer, ["10.0.0.0/24", "2001:db8::/32"])
    assert (scope["client"], scope["scheme"], scope["root_path"]) == (("10.0.1.7", 4711), "http", "")
