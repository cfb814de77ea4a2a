"""A circuit is open for as long as it says, and its probe alone closes it.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import MINUTE_MS


@pytest.mark.parametrize("lease_ms", [5_999, 6_000, 6_001, 15_000])
@pytest.mark.parametrize("more_ms", [-1, 0, 1])
@pytest.mark.parametrize("who_looks", ["claim", "overdue", "complete"])
def test_a_circuit_is_open_as_long_as_it_says_and_never_longer_than_any(
    beside: Beside, lease_ms: int, more_ms: int, who_looks: str
) -> None:
    """Ten leases, at least a minute: what is to last longer is from before the clock was set back."""
    beside.limits = replace(beside.limits, lease_ms=lease_ms, width=3)
    beside.admitted("a", (1, 1, 1))
    for n, holder in enumerate("wvu"):
        beside.claim("a", n, holder)
    beside.complete("a", 2)
    beside.release("a", 0, "w", after_ms=0, open_circuit_ms=max(MINUTE_MS, 10 * lease_ms) + more_ms)
    match who_looks:
        case "claim":
            assert beside.claim("a", 0, "t")[0] == ("apply" if more_ms > 0 else "circuit_open")
        case "overdue":
            assert beside.overdue() == (["a:0"] if more_ms > 0 else [])
        case _:
            assert (beside.complete("a", 2, "v")[2] is not None) == (more_ms > 0)


@pytest.mark.parametrize("prober", [None, "w", "v"])
@pytest.mark.parametrize("goes", ["reclaim", "release", "release and pause", "claim again"])
def test_a_circuit_closes_with_its_own_probe_and_with_no_other(beside: Beside, prober: str | None, goes: str) -> None:
    """Four chunks: one that failed, two that were claimed before, one that asks."""
    beside.limits = replace(beside.limits, width=4)
    beside.admitted("a", (1, 1, 1, 1))
    for n, holder in ((1, "w"), (2, "v"), (0, "u")):
        beside.claim("a", n, holder)
    beside.release("a", 0, "u", open_circuit_ms=1_000)
    if prober:
        beside.elapse(1_000)
        beside.claim("a", 1 if prober == "w" else 2, prober)
    match goes:
        case "reclaim":
            beside.reclaim("w")
        case "claim again":
            beside.claim("a", 1, "w")
        case _:
            beside.release("a", 1, "w", to_blame=False, open_circuit_ms=0 if goes == "release" else 1)
    beside.overdue()
    beside.claim("a", 3, "t")
    beside.elapse(1)
    beside.claim("a", 3, "t")
