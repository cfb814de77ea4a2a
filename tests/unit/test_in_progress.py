"""Requests that are being answered: so many of each client, so many of all."""

from contextlib import ExitStack

import pytest

from carecase_worker.errors import BacklogFull, CareCaseError, RateExceeded
from carecase_worker.intake.limits.in_progress import InProgress

CLIENT = (RateExceeded, "This client has too many requests at once. Let some of them end first.")
ALL = (BacklogFull, "Too many requests are in progress at the moment. Send the request again later.")


def told_of(in_progress: InProgress) -> dict[tuple[str, ...], float]:
    return {(one.name.removeprefix("carecase_requests_"), *one.labels.values()): one.value for one in in_progress()}


@pytest.mark.parametrize(
    ("before", "client", "refused"),
    [
        ("a", "a", None),
        ("aa", "a", CLIENT),
        ("aab", "a", CLIENT),
        ("aa", "b", None),
        ("aab", "b", ALL),
        ("abc", "a", ALL),
        ("abc", "d", ALL),
    ],
)
def test_of_three_at_once_a_client_has_two(
    before: str, client: str, refused: tuple[type[CareCaseError], str] | None
) -> None:
    in_progress = InProgress(most=3, most_per_client=2)
    with ExitStack() as stack:
        for one in before:
            stack.enter_context(in_progress.place(one))
        for _ in range(2):  # who is refused takes no place
            if refused is None:
                with in_progress.place(client):
                    assert told_of(in_progress)["in_progress", client] == before.count(client) + 1
            else:
                with pytest.raises(refused[0]) as error, in_progress.place(client):
                    pass
                assert str(error.value) == refused[1]
        counts = {("in_progress", one): before.count(one) for one in (*before, *([] if refused else [client]))}
        by_bound = {("refused", "client"): 2 * (refused is CLIENT), ("refused", "all"): 2 * (refused is ALL)}
        samples = told_of(in_progress)
        assert {name: value for name, value in samples.items() if value or name in by_bound} == {
            name: value for name, value in (counts | by_bound).items() if value or name in by_bound
        }
    with in_progress.place("a"), in_progress.place("a"):
        pass


def test_a_place_is_left_also_by_what_fails() -> None:
    in_progress = InProgress(most=1, most_per_client=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), in_progress.place("a"):
            raise ValueError("broken")
