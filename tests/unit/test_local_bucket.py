"""A client's tokens in one process: when some are prefetched, how long they are good, and what is given back."""

import pytest

from carecase_worker.store.local_bucket import LocalBucket


@pytest.mark.parametrize(
    ("taken", "after_s", "ahead"), [(1, 0.019, 2), (1, 0.021, 0), (10, 0, 20), (32, 0.01, 64), (40, 0.01, 64)]
)
def test_who_takes_tokens_again_at_once_prefetches_twice_as_many(taken: int, after_s: float, ahead: int) -> None:
    bucket = LocalBucket()
    assert bucket.ahead(100) == 0
    bucket.take(taken, 100)
    assert bucket.ahead(100 + after_s) == ahead


def test_tokens_are_good_for_a_tenth_of_a_second() -> None:
    bucket = LocalBucket()
    bucket.take(6, 100, used=1)
    assert [bucket.use(2, 100.05), bucket.use(1, 100.09), bucket.use(1, 100.11)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("each_us", "age_s", "given_back_us"), [(1_000_000, 0.5, 2_500_000), (1_000_000, 4, 0), (40_000, 1, 0), (10, 0, 30)]
)
def test_tokens_that_were_not_used_are_given_back_less_what_came_meanwhile(
    each_us: int, age_s: float, given_back_us: int
) -> None:
    bucket = LocalBucket()
    assert bucket.unused_us(each_us, 100) == 0
    bucket.take(3, 100)
    assert bucket.unused_us(each_us, 100 + age_s) == given_back_us
    assert bucket.unused_us(each_us, 100 + age_s) == 0
    assert bucket.use(1, 100) == 0


def test_no_more_tokens_are_used_than_were_taken() -> None:
    bucket = LocalBucket()
    bucket.take(3, 100)
    assert [bucket.use(2, 100), bucket.use(2, 100), bucket.use(2, 100)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("wait_s", "after_s", "left_s"), [(0.5, 0, 0.5), (0.5, 0.25, 0.25), (0.5, 0.5, 0), (60, 0.5, 59.5), (60, 1, 0)]
)
def test_a_refusal_is_remembered_until_there_is_a_token_and_for_a_second_at_most(
    wait_s: float, after_s: float, left_s: float
) -> None:
    bucket = LocalBucket()
    bucket.refuse(wait_s, 100)
    assert bucket.wait_s(100 + after_s) == left_s
    bucket.take(1, 100 + after_s)
    assert bucket.wait_s(100 + after_s) == 0
