"""Behind a proxy that speaks IPv4 to an intake that listens on `::`, where such addresses arrive as IPv6."""

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from carecase_worker.intake.http.middleware.forwarded import Forwarded

TOLD = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-prefix", b"/edge")]


def served(
    peer: str | None, trusted: list[str], root_path: str = "", path: str = "/jobs", headers: Any = TOLD
) -> Scope:
    """What the application sees of a request."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> None:
        return None

    scope = {
        "type": "http",
        "path": path,
        "headers": headers,
        "client": peer and (peer, 4711),
        "scheme": "http",
        "root_path": "",
    }
    asyncio.run(Forwarded(app, root_path, trusted)(scope, nothing, nothing))  # type: ignore[arg-type]
    return seen[0]


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7"])
@pytest.mark.parametrize("trusted", ["10.0.0.7", "10.0.0.0/24", "::ffff:10.0.0.7", "::ffff:10.0.0.0/120"])
def test_a_named_proxy_is_believed_whichever_way_its_address_is_written(peer: str, trusted: str) -> None:
    scope = served(peer, [trusted])
    assert (scope["client"][0], scope["scheme"], scope["root_path"]) == ("198.51.100.1", "https", "/edge")


@pytest.mark.parametrize("peer", ["10.0.1.7", "::ffff:10.0.1.7"])
def test_the_address_of_another_peer_is_logged_as_it_is_and_its_headers_are_not_believed(peer: str) -> None:
    scope = served(peer, ["10.0.0.0/24", "2001:db8::/32"])
    assert (scope["client"], scope["scheme"], scope["root_path"]) == (("10.0.1.7", 4711), "http", "")


@pytest.mark.parametrize(
    ("trusted", "network"),
    [
        ("10.0.0.7", ("10.0.0.7", "10.0.0.7")),
        ("10.0.0.0/25", ("10.0.0.0", "10.0.0.127")),
        ("::ffff:10.0.0.0/121", ("10.0.0.0", "10.0.0.127")),
        ("::ffff:0.0.0.0/96", ("0.0.0.0", "255.255.255.255")),
        ("2001:db8::/64", ("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")),
    ],
)
def test_a_network_is_believed_to_its_ends(trusted: str, network: tuple[str, str]) -> None:
    ends = [ip_address(text) for text in network]
    outside = [int(ends[0]) - 1, int(ends[1]) + 1]
    for peer in ends:
        assert served(str(peer), [trusted])["root_path"] == "/edge"
    for number in outside:
        if 0 <= number <= int(type(ends[0])(2 ** ends[0].max_prefixlen - 1)):
            assert served(str(type(ends[0])(number)), [trusted])["root_path"] == ""


def test_a_peer_without_an_address_is_nobody() -> None:
    scope = served(None, ["10.0.0.7"])
    assert (scope["client"], scope["scheme"], scope["root_path"], scope["path"]) == (None, "http", "", "/jobs")


def hops(size: int, *lines: str) -> list[tuple[bytes, bytes]]:
    """A client, a named proxy in front, and before them so many bytes of what is made up, on one line or on several."""
    real = "198.51.100.1, 10.0.0.7"
    made_up = "203.0.113.9," * 100
    last = f"{made_up[: size - len(real) - 1]},{real}"
    assert len(last) == size
    return [(b"x-forwarded-for", text.encode()) for text in (*lines, last)]


@pytest.mark.parametrize("headers", [hops(999), hops(1000), hops(1001), hops(1150), hops(900, "10.0.0.7, " * 100)])
def test_of_many_hops_the_last_ones_count(headers: list[tuple[bytes, bytes]]) -> None:
    assert served("10.0.0.7", ["10.0.0.7"], headers=headers)["client"][0] == "198.51.100.1"
    assert served("10.0.0.8", ["10.0.0.7"], headers=headers)["client"][0] == "10.0.0.8"


@pytest.mark.parametrize(("length", "client"), [(999, "10.0.0.6"), (1000, "10.0.0.6"), (1001, "10.0.0.5")])
def test_exactly_a_thousand_characters_of_hops_are_looked_at(length: int, client: str) -> None:
    """Where all are proxies that are named, the first one of them counts as the client."""
    first, others = b"10.0.0.6,", b"10.0.0.5,"
    tail = others * ((length - len(first)) // len(others))
    filler = b" " * (length - len(first) - len(tail))
    headers = [(b"x-forwarded-for", first + filler + tail[:-1] + b" ")]
    assert len(headers[0][1]) == length
    assert served("10.0.0.7", ["10.0.0.0/29"], headers=headers)["client"][0] == client


def test_nobody_is_believed_where_no_proxy_is_named() -> None:
    scope = served("10.0.0.7", [])
    assert (scope["client"], scope["scheme"], scope["root_path"]) == (("10.0.0.7", 4711), "http", "")


@pytest.mark.parametrize(
    ("root_path", "prefix", "path", "seen"),
    [
        ("", None, "/jobs", ("", "/jobs")),
        ("/tools", None, "/jobs", ("/tools", "/tools/jobs")),
        ("/tools", None, "/tools/jobs", ("/tools", "/tools/jobs")),
        ("/tools", None, "/tools", ("/tools", "/tools")),
        ("/tools", None, "/toolsjobs", ("/tools", "/tools/toolsjobs")),
        ("/tools", b"/edge", "/jobs", ("/edge", "/edge/jobs")),
        ("/tools", b" edge/ ", "/edge/jobs", ("/edge", "/edge/jobs")),
        ("/tools", b"//", "/jobs", ("/tools", "/tools/jobs")),
        ("", b"https://evil.example", "/jobs", ("", "/jobs")),
        ("/tools", b"/\xe9", "/jobs", ("/tools", "/tools/jobs")),
    ],
)
def test_the_prefix_is_the_proxys_or_else_the_configured_one(
    root_path: str, prefix: bytes | None, path: str, seen: tuple[str, str]
) -> None:
    headers = [] if prefix is None else [(b"x-other", b"/no"), (b"x-forwarded-prefix", prefix)]
    scope = served("10.0.0.7", ["10.0.0.7"], root_path, path, headers)
    assert (scope["root_path"], scope["path"]) == seen
