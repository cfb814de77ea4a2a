"""The bound on wrong passwords: so many at once from one address, as many a minute after, whatever comes then."""

import pytest

from carecase_worker.flower.wrong_passwords import WrongPasswords, source_of

HOME = "192.0.2.7"


@pytest.mark.parametrize("most", [1, 7, 10])
def test_the_last_that_is_allowed_may_still_try_and_the_one_after_waits_for_its_part_of_a_minute(most: int) -> None:
    bound = WrongPasswords(most)
    for _ in range(most - 1):
        bound.note(HOME, 100.0)
    assert bound.wait_s(HOME, 100.0) == 0
    bound.note(HOME, 100.0)
    assert bound.wait_s(HOME, 100.0) == pytest.approx(60 / most)
    assert bound.wait_s(HOME, 100.0 + 60 / most - 0.01) > 0
    assert bound.wait_s(HOME, 100.0 + 60 / most) == 0
    bound.note(HOME, 100.0 + 60 / most)
    assert bound.wait_s(HOME, 100.0 + 60 / most) > 0, "one is given back, not all"
    assert bound.total == most + 1


def test_a_minute_later_all_are_given_back_and_no_more_than_all() -> None:
    bound = WrongPasswords(3)
    for moment in (0.0, 0.0, 0.0, *[500.0] * 2):
        bound.note(HOME, moment)
    assert bound.wait_s(HOME, 500.0) == 0
    bound.note(HOME, 500.0)
    assert bound.wait_s(HOME, 500.0) == pytest.approx(20)


def test_one_address_does_not_count_for_another_one() -> None:
    bound = WrongPasswords(1)
    bound.note(HOME, 0.0)
    assert [bound.wait_s(address, 0.0) > 0 for address in (HOME, "192.0.2.8", "2001:db8::7")] == [True, False, False]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("2001:db8:1:3:3:4:5:6", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("/run/flower.sock", "/run/flower.sock"),
    ],
)
def test_whoever_has_a_network_has_no_more_tries_than_one_address(address: str, source: str) -> None:
    assert source_of(address) == source


def test_addresses_without_end_take_no_memory_without_end_and_are_bounded_together() -> None:
    bound = WrongPasswords(2, most_addresses=3)
    for number in range(100):
        bound.note(f"192.0.2.{number}", 0.0)
    assert bound.addresses <= 4
    assert bound.wait_s("192.0.2.200", 0.0) == pytest.approx(30), (
        "they share what is left, and owe no more than all of it"
    )
    assert bound.wait_s("192.0.2.0", 0.0) == 0, "who was there before has what is its own"
    for number in range(100):
        bound.note(f"198.51.100.{number}", 10_000.0)
    assert bound.addresses <= 4
    assert bound.wait_s("198.51.100.0", 10_000.0) == 0, "what is over makes room"
