"""The issuer's keys: rotated, read again but not too often, and never waited for long."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.acceptance.system import eventually
from tests.builders import a_key_pair, a_key_set

from carecase_worker.clock import stopwatch
from carecase_worker.errors import KeysUnavailable
from carecase_worker.intake.key_set import KeySet, keys_of

OLD, NEW = a_key_pair("RS256"), a_key_pair("ES256")
NOW, NEVER = timedelta(0), timedelta(days=1)


class Issuer:
    """Publishes keys, or fails, or hangs; counts how often it is asked."""

    def __init__(self, document: bytes | None = None) -> None:
        self.document = document
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self) -> bytes:
        self.asked += 1
        self.answers.wait(60)
        if self.document is None:
            raise OSError("away")
        return self.document


def held(issuer: Callable[[], bytes], refresh: timedelta = NEVER, refetch: timedelta = NOW) -> KeySet:
    return KeySet(issuer, refresh, refetch, patience=timedelta(seconds=0.2))


def test_a_new_key_is_found_at_once_and_an_old_one_goes() -> None:
    issuer = Issuer(a_key_set(old=OLD))
    keys = held(issuer)
    assert keys.find("old") is not None
    issuer.document = a_key_set(new=NEW)
    assert keys.find("new") is not None
    assert keys.find("old") is None


def test_made_up_ids_do_not_make_it_ask_again_and_again() -> None:
    issuer = Issuer(a_key_set(old=OLD))
    keys = held(issuer, refetch=NEVER)
    assert [keys.find(f"made up {n}") for n in range(100)] == [None] * 100
    assert issuer.asked == 1


def test_what_is_held_goes_on_while_the_issuer_is_away_or_hangs() -> None:
    issuer = Issuer(a_key_set(old=OLD))
    keys = held(issuer, refresh=NOW)
    assert keys.find("old") is not None
    issuer.document = None
    assert keys.find("unknown") is None
    assert keys.find("old") is not None
    issuer.answers.clear()
    began = stopwatch()
    assert keys.find("unknown") is None
    assert [keys.find("old") is not None for _ in range(200)] == [True] * 200
    assert stopwatch() - began < 20, "0.2 s each would be twice that"
    issuer.answers.set()


def test_many_wait_for_one_answer() -> None:
    issuer = Issuer(a_key_set(old=OLD))
    keys = held(issuer, refetch=NEVER)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(keys.find("old"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 10
    assert all(found)
    assert issuer.asked == 1


def test_made_up_ids_hold_a_few_at_most_while_the_issuer_hangs() -> None:
    issuer = Issuer(a_key_set(old=OLD))
    keys = KeySet(issuer, NEVER, NOW, patience=timedelta(seconds=60))
    assert keys.find("old") is not None
    issuer.answers.clear()
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(keys.find("made up"))
        except KeysUnavailable as error:
            answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answers) >= 24, 30, "all but a few are told to come later")
    assert keys.find("old") is not None
    assert {type(answer) for answer in answers} == {KeysUnavailable}, "nobody's patience has ended"
    issuer.answers.set()
    for thread in threads:
        thread.join(60)
    assert len([answer for answer in answers if answer is None]) <= 16
    assert len(answers) == 40


def test_without_any_key_nothing_is_said_of_a_token() -> None:
    keys = held(Issuer(None))
    with pytest.raises(KeysUnavailable):
        keys.find("old")


def test_only_public_signature_keys_are_taken() -> None:
    document = b"""{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, {"kty": "RSA", "kid": "b", "use": "enc"},
        {"kty": "EC", "kid": "c", "crv": "P-999"}, 5, {"kty": "RSA", "kid": "d"}, %s]}"""
    good = a_key_set(e=NEW)[len(b'{"keys": [') : -2]
    assert set(keys_of(document % good)) == {"e"}


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": []}', b"<html>"])
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):
        keys_of(document)
