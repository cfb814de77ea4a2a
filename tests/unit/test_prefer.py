"""Prefer and Preference-Applied, as RFC 7240 has them."""

from datetime import timedelta

import pytest
from tests.steps import steps_each

from carecase_worker.intake.http.requests.prefer import Preferences, applied, preferences

LONGEST = timedelta(seconds=60)


@pytest.mark.parametrize(
    ("headers", "respond_async", "wait_s"),
    [
        ([], False, None),
        (["respond-async"], True, None),
        (["wait=10"], False, 10),
        (["respond-async, wait=10"], True, 10),
        (["respond-async", "wait=10"], True, 10),
        (["Wait = 5 ; why=later , RESPOND-ASYNC; x"], True, 5),
        (['wait="7"'], False, 7),
        (["wait=0"], False, 0),
        (["wait=3, wait=9", "wait=1"], False, 3),
        (["wait=600"], False, 60),
        (["wait=99999999999999999999"], False, 60),
        (['return=minimal, foo="a, wait=4", handling=lenient'], False, None),
        (['foo="a \\", wait=4", wait=6'], False, 6),
        (["wait=-1"], False, None),
        (["wait=1.5"], False, None),
        (["wait"], False, None),
        (["wait=soon, respond-async"], True, None),
        (["wait=soon, wait=3"], False, None),
        ([",, ,respond-async,"], True, None),
        (['"wait=5', "="], False, None),
        (["wait=٣"], False, None),
        (["wait=59"], False, 59),
        (["wait=60"], False, 60),
        (["wait=61"], False, 60),
        (['respond-async="', 'wait=3;x, respond-async="x'], False, 3),
        (["wait=000000005"], False, 5),
        (['wait="\\5"'], False, 5),
        (["respond-async=yes"], True, None),
        (["x" * 985 + ", respond-async"], True, None),  # what is longer than anybody's is not looked at
        (["x" * 986 + ", respond-async"], False, None),
    ],
)
def test_the_first_of_each_preference_counts_and_others_are_ignored(
    headers: list[str], respond_async: bool, wait_s: int | None
) -> None:
    wait = None if wait_s is None else timedelta(seconds=wait_s)
    assert preferences(headers, LONGEST) == Preferences(respond_async, wait)


@pytest.mark.parametrize(
    ("headers", "strict"),
    [
        (["handling=strict"], True),
        (['Handling="strict"'], True),
        (["wait=5", "handling=strict; x=y"], True),
        (["handling=strict, handling=lenient"], True),
        (["handling=lenient, handling=strict"], False),
        (["handling=STRICT"], False),
        (["handling"], False),
        (["strict"], False),
        ([], False),
    ],
)
def test_all_or_nothing_is_preferred_by_one_word(headers: list[str], strict: bool) -> None:
    assert preferences(headers, LONGEST).strict is strict


@pytest.mark.parametrize("of_batch", [True, False])
def test_only_the_answer_to_a_batch_says_that_it_is_all_or_nothing(of_batch: bool) -> None:
    wanted = Preferences(True, timedelta(seconds=5), strict=True)
    strict = ", handling=strict" if of_batch else ""
    assert applied(wanted, False, of_batch) == {"Preference-Applied": f"respond-async, wait=5{strict}"}
    assert applied(wanted, True, of_batch) == {"Preference-Applied": f"wait=5{strict}"}
    assert applied(Preferences(strict=True), False) == {}


@pytest.mark.parametrize(
    ("wanted", "final", "header"),
    [
        (Preferences(), False, None),
        (Preferences(respond_async=True), False, "respond-async"),
        (Preferences(respond_async=True), True, None),
        (Preferences(wait=timedelta(seconds=60)), False, "wait=60"),
        (Preferences(wait=timedelta(0)), False, "wait=0"),
        (Preferences(True, timedelta(seconds=5)), False, "respond-async, wait=5"),
        (Preferences(True, timedelta(seconds=5)), True, "wait=5"),
    ],
)
def test_an_answer_says_what_it_honours(wanted: Preferences, final: bool, header: str | None) -> None:
    assert applied(wanted, final).get("Preference-Applied") == header


@pytest.mark.parametrize(
    "header",
    [
        "a=" + " " * 985 + "(",
        " " * 999,
        '"' * 999,
        '\\"' * 499,
        'a="' + '\\"' * 490,
        "a=b;" * 249,
        "a " * 499,
        "," * 999,
    ],
)
def test_no_header_is_read_more_than_a_few_times(header: str) -> None:
    """The bound is five times what the dearest takes; reading a thousand signs again for each would take a thousand."""
    assert steps_each(lambda: preferences([header], LONGEST), len(header), 70) < 70
