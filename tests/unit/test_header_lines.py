"""The lines of a request's head, as one value for each header."""

import pytest

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.http.middleware.header_lines import joined

HOST = (b"host", b"service")
LISTS = (
    b"accept", b"accept-encoding", b"access-control-request-headers", b"connection", b"content-encoding",
    b"if-none-match", b"prefer", b"x-forwarded-for",
)  # fmt: skip
SINGLE = (
    b"x-api-key", b"authorization", b"vbasoftware-database", b"idempotency-key", b"content-type", b"content-length",
    b"user-agent", b"origin", b"access-control-request-method", b"last-event-id", b"x-forwarded-proto",
    b"x-forwarded-prefix",
)  # fmt: skip


def refused(*headers: tuple[bytes, bytes]) -> str:
    """The words in which lines are refused."""
    with pytest.raises(BatchRefused) as refusal:
        joined(headers, needs_host=True)
    assert refusal.value.fault is BatchFault.BAD_HEADER
    return str(refusal.value)


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    """RFC 9110, 5.5: so a credential or a database's name is what stands between them."""
    headers = [HOST, (b"vbasoftware-database", b"demo \t"), (b"x-api-key", b"\tkey "), (b"x", b""), (b"y", b"a b")]
    expected = [HOST, (b"vbasoftware-database", b"demo"), (b"x-api-key", b"key"), (b"x", b""), (b"y", b"a b")]
    assert joined(headers, needs_host=True) == expected
    for blank in (b" ", b"\t"):
        assert joined([HOST, (b"x", blank + b"y")], needs_host=True) == [HOST, (b"x", b"y")]
        assert joined([HOST, (b"x", b"y" + blank)], needs_host=True) == [HOST, (b"x", b"y")]


def test_cookies_are_nobodys() -> None:
    headers = [HOST, (b"cookie", b"a=b"), (b"cookie2", b"c"), (b"cookie", b"d=e")]
    assert joined(headers, needs_host=True) == [HOST, (b"cookie2", b"c")]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_one_however_many_lines_it_has(name: bytes) -> None:
    headers = [(name, b"a, b"), HOST, (name, b""), (b"other", b"1"), (name, b" c"), (b"other", b"2")]
    assert joined(headers, needs_host=True) == [HOST, (b"other", b"1"), (b"other", b"2"), (name, b"a, b, c")]


def test_lists_of_one_line_stay_as_they_are() -> None:
    headers = [HOST, *((name, b"a, b") for name in LISTS)]
    assert joined(headers, needs_host=True) == headers


@pytest.mark.parametrize("name", SINGLE)
def test_any_other_header_that_is_read_comes_once(name: bytes) -> None:
    words = f"The header {name.decode()} comes more than once. Send it once."
    assert refused(HOST, (name, b"a"), (name, b"b")) == words
    assert refused(HOST, (name, b"a"), (name, b"a")) == words
    assert joined([HOST, (name, b"a")], needs_host=True) == [HOST, (name, b"a")]


def test_a_request_names_one_host() -> None:
    assert refused() == "The header Host is missing. HTTP/1.1 requires it."
    assert joined([], needs_host=False) == []
    assert refused(HOST, HOST) == "The header host comes more than once. Send it once."
    no_host = "The header Host is not a host. Send host or host:port."
    for bad in (b"", b" ", b"a b", b"user@host", b"host/path", b"[::1", b"host:port", b"[::g]", b":80", b"a,b/c"):
        assert refused((b"host", bad)) == no_host, bad
        with pytest.raises(BatchRefused, match="is not a host"):
            joined([(b"host", bad)], needs_host=False)
    for good in (b"service", b"service.example:", b"10.0.0.1:80", b"[::1]:8080", b"[::ffff:10.0.0.7]", b"under_score"):
        assert joined([(b"host", good)], needs_host=True) == [(b"host", good)]
