"""Attacks by heads: long or strange header lines, paths, queries and credentials."""

import base64

from tests.hostile.attack import Attack, Attacker, Send, Who, by_name
from tests.hostile.wire import request

_LONG = 28 << 10
"""Bytes of a header that is nearly all that a head may have."""
_JOB = "/jobs/01976b5e-0000-7000-8000-000000000000"
_TARGET = 7900
"""Bytes of a target that is nearly as long as one may be."""
_PATHS = (
    "/jobs/..%2f..%2fmetrics",
    "//jobs//x",
    "/jobs/%00",
    f"/jobs/{'%2e%2e%2f' * (_TARGET // 9)}",
    f"/jobs/x;{'a;' * (_TARGET // 2)}",
)


def repeated(*lines: str, target: str = _JOB, who: Who = Who.CLIENT) -> Send:
    """A request with these lines, again and again on one connection."""

    async def send(attacker: Attacker) -> None:
        head = request("GET", target, *lines) if who is Who.NOBODY else attacker.head("GET", target, *lines)
        await attacker.again(head, 10)

    return send


async def strange_paths(attacker: Attacker) -> None:
    """Paths that lead elsewhere for whoever reads them carelessly."""
    for path in _PATHS:
        await attacker.once(attacker.head("GET", path))


def _segment(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def a_token(header: bytes, claims: bytes = b"{}") -> str:
    """The header line of a token that nobody has signed."""
    return f"authorization: Bearer {_segment(header)}.{_segment(claims)}.{_segment(bytes(32))}"


_TOKENS = (
    "authorization: Bearer " + "x" * _LONG,
    "authorization: Bearer " + "." * _LONG,
    a_token(b'{"alg":"none"}'),
    a_token(b'{"alg":"HS256"}', b'{"sub":"' + b"x" * 20_000 + b'"}'),
    a_token(b'{"alg":"RS256","kid":"' + b"k" * 15_000 + b'"}'),
    a_token(b"[" * 15_000),
)


async def strange_tokens(attacker: Attacker) -> None:
    """The key of a client with tokens that nobody has signed."""
    for token in _TOKENS:
        await attacker.once(request("GET", _JOB, f"x-api-key: {attacker.access.api_key}", token))


def _told(name: str, ends: str, *lines: str, target: str = _JOB, who: Who = Who.CLIENT) -> Attack:
    return Attack(name, who, repeated(*lines, target=target, who=who), ends)


_WRONG = a_token(b'{"alg":"HS256"}', b'{"sub":"x"}')
_COMMAS = "," * _LONG
_TAGS = ",".join(['W/""'] * (_LONG // 5))

_PARAMETERS = "&".join(f"{number}={'%41' * 24}" for number in range(100))
"""As many as a target may have, and nearly as long as it may be."""

HEADS = by_name(
    _told("Prefer with spaces", "404", *[f"prefer: a={' ' * 900}("] * 30),
    _told("Prefer with quotes", "404", f'prefer: a="{chr(92) * _LONG}'),
    _told("Accept of commas", "404", f"accept: {_COMMAS}"),
    _told("Accept of commas, without credentials", "401", f"accept: {_COMMAS}", who=Who.NOBODY),
    _told("Accept-Encoding of commas", "200", f"accept-encoding: {_COMMAS}", target="/openapi.json", who=Who.NOBODY),
    _told("If-None-Match of tags", "200", f"if-none-match: {_TAGS}", target="/openapi.json", who=Who.NOBODY),
    _told("a long cookie", "401", f"cookie: {'a=b;' * (_LONG // 4)}", who=Who.NOBODY),
    _told("a long X-Forwarded-For", "401", f"x-forwarded-for: {'1.1.1.1,' * (_LONG // 8)}", who=Who.NOBODY),
    _told("a thousand header lines", "431 cut", *[f"x-{number}: y" for number in range(1500)], who=Who.NOBODY),
    _told("too long a query", "431 cut", target=f"/jobs?{'a=b&' * (_LONG // 4)}", who=Who.NOBODY),
    _told("a hundred parameters", "400", target=f"/jobs?{_PARAMETERS}"),
    _told("a hundred parameters, without credentials", "200", target=f"/livez?{_PARAMETERS}", who=Who.NOBODY),
    _told("a page far away", "200", target="/jobs?page=999999999&pageSize=1000"),
    Attack("strange paths", Who.CLIENT, strange_paths, "404"),
    Attack("strange tokens", Who.NOBODY, strange_tokens, "401"),
    _told("wrong credentials", "401", "x-api-key: cck_wrong", _WRONG, who=Who.NOBODY),
)
