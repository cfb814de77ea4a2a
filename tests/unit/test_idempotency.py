"""Two requests are the same one if they agree in all that decides what becomes of the batch."""

import hmac
from itertools import product

from carecase_worker.batches.binding import Binding, Mark
from carecase_worker.batches.encryption import UNSEALED, Seals

REQUESTS = list(
    product(
        ["demo", "other", "5", "strict"],
        [None, 0, 5, -5, 55],
        ["0" * 64, "5" * 64],
        [(False, False), (False, True), (True, False), (True, True)],
        ["k", "K", ""],
    )
)
"""Database, care plan, digest of the body, modes (strict, dry run), Idempotency-Key."""
Request = tuple[str, int | None, str, tuple[bool, bool], str]
ONE, OTHER = Seals({"one": bytes(32)}), Seals({"other": bytes(range(32))})


def marks(seals: Seals, request: Request) -> tuple[Mark, ...]:
    database, care_plan, digest, modes, key = request
    return seals.marks(key, Binding("job", "ann", "her token", database, care_plan, 1, 1, *modes), digest)


def test_two_requests_have_one_mark_if_and_only_if_they_agree_in_everything() -> None:
    for seals in (UNSEALED, ONE):
        for made in zip(*(marks(seals, request) for request in REQUESTS), strict=True):
            fingerprints = {(mark.fingerprint, request[:4]) for mark, request in zip(made, REQUESTS, strict=True)}
            keys = {(mark.key, request[4]) for mark, request in zip(made, REQUESTS, strict=True)}
            assert len(fingerprints) == len(dict(fingerprints)) == len({request[:4] for request in REQUESTS})
            assert len(keys) == len(dict(keys)) == 3


def test_rows_that_another_mapping_makes_cases_of_are_another_batch_under_the_same_key() -> None:
    for seals in (UNSEALED, ONE):
        plain, mapped, other = (
            marks(seals, ("demo", 5, "0" * 64, (False, False), key)) for key in ("k", "k\nreferrals", "k\nlayout")
        )
        for some in zip(plain, mapped, other, strict=True):
            assert (len({mark.key for mark in some}), len({mark.fingerprint for mark in some})) == (1, 3)


def test_what_is_kept_is_looked_for_under_every_key_and_as_it_was_before_there_were_any() -> None:
    request: Request = ("demo", 5, "0" * 64, (False, False), "k")
    (first, plain), (second, _) = marks(ONE, request), marks(OTHER, request)
    both = Seals({"other": bytes(range(32)), "one": bytes(32)})
    assert marks(both, request) == (second, first, plain)
    assert marks(UNSEALED, request) == (plain,)
    assert len({first.key, first.fingerprint, second.key, second.fingerprint, plain.key, plain.fingerprint}) == 6


def test_a_mark_stays_what_it_was_over_upgrades() -> None:
    """Those that are kept in Redis were made by the version before. The recipe: the arguments as lines, SHA-256."""
    (plain,), (strict,) = (
        marks(UNSEALED, ("demo", care_plan, "0" * 64, (whole, False), "k"))
        for care_plan, whole in ((5, False), (None, True))
    )
    assert plain.key == "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"
    assert plain.fingerprint == "f1dae147a6584d363fe2c36bc0b30d4782d19a39416046ac080bebaf9aae73df"
    assert strict.fingerprint == "22a015bf9ce5a9d868cb9f01f1ddc6100c94e5a5617d33fddd14c29ecd526427"


def test_a_mark_made_with_a_key_stays_what_it_was_over_upgrades() -> None:
    """The recipe: HMAC-SHA-256 of the same lines behind a word, with a key that is derived from the configured one."""
    keyed, plain = marks(ONE, ("demo", 5, "0" * 64, (False, False), "k"))
    derived = hmac.digest(bytes(32), b"carecase digests\x01", "sha256")
    lines = b"\n".join((b"demo", b"5", b"0" * 64))
    assert keyed.key == hmac.digest(derived, b"key k", "sha256").hex()
    assert keyed.fingerprint == hmac.digest(derived, b"all " + lines, "sha256").hex()
    assert (plain,) == marks(UNSEALED, ("demo", 5, "0" * 64, (False, False), "k"))
