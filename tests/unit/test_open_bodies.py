"""Bodies that are open: how many large ones, and how much memory all may hold."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.errors import BacklogFull, CareCaseError, RateExceeded
from carecase_worker.intake.http.problems import problem_of
from carecase_worker.intake.limits.bodies import Bodies, Open
from carecase_worker.intake.limits.threads import Processor
from carecase_worker.settings.sections.intake import IntakeSettings

LARGE, SMALL_AROUND, LARGE_AROUND = 1000, 64 << 10, 448 << 10
"""What a body counts for its request and what its connection reads ahead: docs/configuration.md."""
PLENTY = 1 << 40


def bodies_of(**bounds: int) -> Bodies:
    roomy = {
        "max_bodies": 99,
        "max_bodies_per_client": 99,
        "max_open_bytes": PLENTY,
        "max_open_bytes_per_client": PLENTY,
    }
    settings = IntakeSettings.model_validate({"large_body_bytes": LARGE, **roomy, **bounds})
    return Bodies(settings, Processor(settings))


def samples_of(bodies: Bodies) -> dict[str, float]:
    """Every reading, by its name and labels as Prometheus has them."""
    return {
        f"{one.name}{{{','.join(f'{name}={label}' for name, label in one.labels.items())}}}": one.value
        for one in bodies.samples()
    }


def problem(call: Callable[[], object]) -> tuple[int, str, dict[str, str]]:
    with pytest.raises(CareCaseError) as refused:
        call()
    seen = problem_of(refused.value)
    return seen.status, seen.kind, dict(seen.headers)


def announce(stack: ExitStack, bodies: Bodies, size: int, name: str = "ann") -> Open:
    return stack.enter_context(bodies.open(name, announced=size))


def wait(stack: ExitStack, bodies: Bodies, size: int, name: str = "ann") -> None:
    announce(stack, bodies, 0, name).waits(size)


def come(stack: ExitStack, bodies: Bodies, size: int, name: str = "ann") -> None:
    opened = announce(stack, bodies, 0, name)
    opened.takes(size)
    opened.holds(1)


WAYS = [announce, wait, come]
TOO_MANY_OF_CLIENT = (429, "rate-exceeded", {"Retry-After": "1"})
TOO_MANY_OF_ALL = (503, "backlog-full", {"Retry-After": "5"})


@pytest.mark.parametrize("way", WAYS)
def test_large_bodies_of_a_client_and_of_all_are_counted_and_small_ones_are_not(way: Callable[..., object]) -> None:
    bodies = bodies_of(max_bodies=3, max_bodies_per_client=2)
    with ExitStack() as stack:
        for _ in range(4):
            way(stack, bodies, LARGE)
        for _ in range(2):
            way(stack, bodies, LARGE + 1)
        assert problem(lambda: way(stack, bodies, LARGE + 1)) == TOO_MANY_OF_CLIENT
        way(stack, bodies, LARGE + 1, "bob")
        assert problem(lambda: way(stack, bodies, LARGE + 1, "bob")) == TOO_MANY_OF_ALL
        way(stack, bodies, LARGE, "bob")
        counts = samples_of(bodies)
        assert (counts["carecase_open_bodies{client=ann}"], counts["carecase_open_bodies{client=bob}"]) == (2, 1)
        assert counts["carecase_bodies_refused{bound=bodies,whose=client}"] == 1
        assert counts["carecase_bodies_refused{bound=bodies,whose=all}"] == 1
    for _ in range(2):  # all have left their places
        with bodies.open("ann", LARGE + 1), bodies.open("ann", LARGE + 1):
            assert samples_of(bodies)["carecase_open_bodies{client=ann}"] == 2


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize(
    ("bounds", "expected", "whose"),
    [
        ({"max_open_bytes_per_client": 1 << 20}, TOO_MANY_OF_CLIENT, "client"),
        ({"max_open_bytes": 1 << 20}, TOO_MANY_OF_ALL, "all"),
    ],
)
def test_exactly_so_much_is_counted(more: int, bounds: dict[str, int], expected: object, whose: str) -> None:
    bodies = bodies_of(**bounds)
    with bodies.open("ann", 0) as first, bodies.open("ann", 0) as second:
        first.waits(LARGE)  # small
        second.waits(300_000)
        left = (1 << 20) - LARGE - SMALL_AROUND - 300_000 - LARGE_AROUND
        if more <= 0:
            second.holds(left + more)
            held = (1 << 20) + more
        else:
            assert problem(lambda: second.holds(left + more)) == expected
            assert samples_of(bodies)[f"carecase_bodies_refused{{bound=bytes,whose={whose}}}"] == 1
            held = LARGE + SMALL_AROUND + 300_000 + LARGE_AROUND
        assert samples_of(bodies)["carecase_open_bytes{client=ann}"] == held, "what is refused is not counted"
    assert samples_of(bodies)["carecase_open_bytes{client=ann}"] == 0


def test_memory_that_is_given_back_is_there_for_others() -> None:
    bodies = bodies_of(max_open_bytes_per_client=1 << 20, max_open_bytes=1 << 20)
    with bodies.open("ann", 0) as first, bodies.open("bob", 0) as second:
        first.waits((1 << 20) - LARGE_AROUND - SMALL_AROUND)
        assert problem(lambda: second.waits(1)) == TOO_MANY_OF_ALL
        first.waits(10)
        second.waits(1)
        assert samples_of(bodies)["carecase_open_bodies{client=ann}"] == 1, "large once is large until it ends"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "waits", "holds", "close"]),
        st.integers(0, 5),
        st.integers(0, 3 * LARGE),
        st.sampled_from(["ann", "bob"]),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 1 << 21), st.integers(1, 1 << 21))
def test_no_more_is_open_than_may_be_and_all_is_given_back(
    steps: list[tuple[str, int, int, str]], most: int, of_client: int, most_bytes: int, bytes_of_client: int
) -> None:
    """A model keeps for each body what it waits with and holds; a body that is refused ends."""
    bodies = bodies_of(
        max_bodies=most,
        max_bodies_per_client=of_client,
        max_open_bytes=most_bytes,
        max_open_bytes_per_client=bytes_of_client,
    )
    places: dict[int, ExitStack] = {}
    opened: dict[int, Open] = {}
    model: dict[int, tuple[str, int, int, bool]] = {}

    def totals(seen: Iterator[tuple[str, int, int, bool]]) -> dict[str, tuple[int, int]]:
        found = {"ann": (0, 0), "bob": (0, 0)}
        for name, waiting, held, is_large in seen:
            count, size = found[name]
            around = LARGE_AROUND if is_large else SMALL_AROUND
            found[name] = count + is_large, size + waiting + held + around
        return found

    def fits(seen: dict[str, tuple[int, int]]) -> bool:
        counts, sizes = [count for count, _ in seen.values()], [size for _, size in seen.values()]
        return (
            max(counts) <= of_client
            and sum(counts) <= most
            and max(sizes) <= bytes_of_client
            and sum(sizes) <= most_bytes
        )

    for step, place, size, name in steps:
        if step == "close" and place in opened:
            del opened[place], model[place]
            places.pop(place).close()
        if (step == "open") == (place in opened) or step == "close":
            continue
        if step == "open":
            wanted = (name, 0, 0, size > LARGE)
        else:
            whose, waiting, held, was_large = model[place]
            waiting, held = (size, held) if step == "waits" else (waiting, size)
            wanted = (whose, waiting, held, was_large or waiting > LARGE)
        try:
            if step == "open":
                places[place] = ExitStack()
                opened[place] = announce(places[place], bodies, size, name)
            else:
                getattr(opened[place], step)(size)
            is_taken = True
        except (RateExceeded, BacklogFull):
            is_taken = False
        grown = totals(iter({**model, place: wanted}.values()))
        assert is_taken == fits(grown)
        if is_taken:
            model[place] = wanted
        else:
            places.pop(place).close()
            opened.pop(place, None)
            model.pop(place, None)
        seen, expected = samples_of(bodies), totals(iter(model.values()))
        for whose, (count, size_of_all) in expected.items():
            assert seen.get(f"carecase_open_bodies{{client={whose}}}", 0) == count
            assert seen.get(f"carecase_open_bytes{{client={whose}}}", 0) == size_of_all


@pytest.mark.parametrize("connections", [64, 256])
def test_a_client_with_many_small_batches_at_once_is_never_refused(connections: int) -> None:
    """However much they decode to: what they hold meanwhile is bounded by itself."""
    settings = IntakeSettings.model_validate({})
    bodies = Bodies(settings, Processor(settings))
    with ExitStack() as stack:
        for _ in range(connections):
            opened = announce(stack, bodies, settings.large_body_bytes)
            opened.waits(settings.large_body_bytes)
            opened.takes(settings.large_body_bytes)
            opened.waits(0)
            opened.holds(800 << 10)
        assert not [name for name in samples_of(bodies) if "refused" in name]
