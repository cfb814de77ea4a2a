"""Two requests are the same one if they agree in all that decides what becomes of the batch."""

from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.jobs.idempotency import fingerprint

REQUESTS = st.tuples(
    st.sampled_from(["demo", "other", "5", "strict"]),
    st.sampled_from([None, 0, 5, -5, 55]),
    st.sampled_from(["0" * 64, "5" * 64]),
    st.booleans(),
)
"""Database, care plan, digest of the body, strictness."""


@given(REQUESTS, REQUESTS)
def test_two_requests_have_one_fingerprint_if_and_only_if_they_agree_in_everything(
    one: tuple[str, int | None, str, bool], other: tuple[str, int | None, str, bool]
) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_a_fingerprint_stays_what_it_was_over_upgrades() -> None:
    """Those that are kept in Redis were made by the version before. The recipe: lines of what is told, SHA-256."""
    plain, strict = fingerprint("demo", 5, "0" * 64), fingerprint("demo", None, "0" * 64, strict=True)
    assert plain == "f1dae147a6584d363fe2c36bc0b30d4782d19a39416046ac080bebaf9aae73df"
    assert strict == "22a015bf9ce5a9d868cb9f01f1ddc6100c94e5a5617d33fddd14c29ecd526427"
