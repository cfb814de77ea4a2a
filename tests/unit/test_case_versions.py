"""Versions go up with the order of acceptance, then with the place in the batch, and fit a BIGINT."""

from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.targets.case_versions import seq_of, version_of, versions_from

SEQS = st.integers(1, 2**43 - 1)
PLACES = st.integers(0, 999_999)


@given(SEQS, PLACES, SEQS, PLACES)
def test_versions_are_in_the_order_of_acceptance(seq: int, place: int, other_seq: int, other_place: int) -> None:
    is_earlier = (seq, place) < (other_seq, other_place)
    assert (version_of(seq, place) < version_of(other_seq, other_place)) == is_earlier


@given(SEQS, PLACES)
def test_a_version_names_its_batch_and_fits_the_column(seq: int, place: int) -> None:
    version = version_of(seq, place)
    assert seq_of(version) == seq
    assert 0 < version < 2**63


@given(SEQS, st.integers(0, 999_000), st.integers(1, 1000))
def test_the_versions_of_a_chunk_are_those_of_its_items(seq: int, first: int, count: int) -> None:
    assert list(versions_from(version_of(seq, first), count)) == [version_of(seq, first + n) for n in range(count)]


def test_a_database_without_cases_is_at_the_beginning() -> None:
    assert seq_of(0) == 0
