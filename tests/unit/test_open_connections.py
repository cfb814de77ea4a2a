"""The connections that are open at once: a place is had by those that are there."""

from dataclasses import dataclass

from carecase_worker.intake.limits.open_connections import OpenConnections


@dataclass(eq=False)
class Idle:
    """A connection on which nobody waits for anything."""

    is_open: bool = True

    def serves_known(self) -> bool:
        return False

    def give_way(self) -> None:
        self.is_open = False


def numbers(connections: OpenConnections) -> dict[str, float]:
    return {reading.name: reading.value for reading in connections()}


def test_one_that_has_given_way_takes_no_place_by_what_is_heard_of_it_later() -> None:
    connections, first, second, third = OpenConnections(1), Idle(), Idle(), Idle()
    assert connections.enter(first)
    assert connections.enter(second)
    assert not first.is_open
    connections.heard(first)  # an answer that was on its way
    assert connections.enter(third)
    assert (second.is_open, third.is_open) == (False, True)
    assert numbers(connections) == {
        "carecase_connections": 1,
        "carecase_connections_gave_way": 2,
        "carecase_connections_refused": 0,
    }
