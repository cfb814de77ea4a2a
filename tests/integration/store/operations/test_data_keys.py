"""A data key that is wrapped anew leaves a batch known by what it was known by, and brings nothing back.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import Batch


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("name", ["", "idem:k", "idem:anew"])
def test_a_data_key_is_wrapped_anew_with_what_the_batch_is_known_by(beside: Beside, name: str, final: bool) -> None:
    batch = beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.admitted("b", data_key="old")
    if final:
        beside.complete("a", 0)
    assert beside.rewrap("a", "another", "new", name, "g") == "other"
    assert beside.rewrap("never", "old", "new", name, "g") == "other"
    assert beside.rewrap("b", "old", "new") == "wrapped"
    assert beside.rewrap("a", "old", "new", name, "f" if name == "idem:k" else "g") == "wrapped"
    again = replace(batch, job="c", idempotency=name or "idem:k", fingerprint="g" if name == "idem:anew" else "f")
    beside.stage(again, 0)
    assert beside.admit(again) == ["known", "a"]
    if not final:
        beside.complete("a", 0)
    beside.elapse(3_600_000)


def test_a_data_key_that_was_purged_is_not_wrapped_anew(beside: Beside) -> None:
    beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.complete("a", 0)
    assert beside.purge("a") == "purged"
    assert beside.rewrap("a", "old", "new", "idem:anew", "g") == "other"


def test_a_batch_that_may_be_known_by_several_names_comes_with_its_last_chunks(beside: Beside) -> None:
    """The names' fingerprints stand before the chunks: the right ones are taken for each."""
    names = (("idem:second", "f2"), ("idem:plain", "f3"))
    batch = Batch("a", (1, 1, 1), idempotency="idem:first", also_known=names, data_key="wrapped")
    beside.stage(batch, 0)
    assert beside.admit(batch, 1, 2)[0] == "admitted"
    for name, fingerprint, answer in (("idem:first", "f", ["known", "a"]), ("idem:first", "f2", ["reused"])):
        later = ("idem:newest", "f9"), (name, fingerprint)
        again = Batch("b", (1, 1), idempotency="idem:newer", also_known=later)
        assert beside.admit(again, 0, 1) == answer
    assert beside.admit(replace(again, also_known=names), 0) == ["lost"]
    assert beside.admit(replace(again, also_known=names), 0, 1)[0] == "admitted"


def test_what_was_forgotten_is_not_known_again_by_a_data_key_that_is_wrapped_anew(beside: Beside) -> None:
    beside.admitted("a", idempotency="idem:k", data_key="old")
    beside.complete("a", 0)
    beside.elapse(3_600_000)
    assert beside.rewrap("a", "old", "new", "idem:anew", "g") == "wrapped"
