"""The header `traceparent`: valid ones are read, all others ignored (W3C Trace Context, level 2)."""

import pytest

from carecase_worker.traceparent import TraceParent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
    ids=["sampled", "not sampled", "sampled and random", "random", "a later version", "a later, longer version"],
)
def test_a_valid_header_is_read(header: str, sampled: bool) -> None:
    assert TraceParent.of(header) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}x-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-{'a' * 500}",
        f"00-{TRACE}-{SPAN}-٠١",
    ],
)
def test_any_other_header_is_ignored(header: str) -> None:
    assert TraceParent.of(header) is None


def test_what_is_passed_on_is_of_the_version_that_is_known() -> None:
    message = str(TraceParent.of(f"cc-{TRACE}-{SPAN}-ff-more"))
    assert message == f"00-{TRACE}-{SPAN}-01"
    assert len(message) == 55
    assert TraceParent.of(message) == TraceParent.of(f"00-{TRACE}-{SPAN}-01")
