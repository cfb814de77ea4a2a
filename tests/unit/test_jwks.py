"""The issuer's keys: rotated, read again but not too often, and never waited for long."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from queue import Queue

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.builders import a_jwks, a_key_pair

from carecase_worker.errors import KeysUnavailable
from carecase_worker.intake.access.jwks import Jwks, jwks_of, keys_of
from carecase_worker.settings.sections.access import JwtSettings

OLD, NEW = a_key_pair("RS256"), a_key_pair("ES256")
REFRESH_S, REFETCH_S, PATIENCE_S = 300.0, 10.0, 60.0
BLINK = 0.25
LATER = "The bearer token cannot be verified at the moment. Send the request again later."
MOST_WHO_WAIT = 6


class Issuer:
    """Publishes keys, or fails, or hangs; counts how often it is asked."""

    def __init__(self, **pairs: object) -> None:
        self.document: bytes | Exception = a_jwks(**pairs)
        self.asked = 0
        self.was_asked: Queue[int] = Queue()
        self._answers = threading.Event()
        self._answers.set()

    def __call__(self) -> bytes:
        self.asked += 1
        self.was_asked.put(self.asked)
        assert self._answers.wait(60)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def answer(self) -> None:
        self._answers.set()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Be asked, and say nothing until the end."""
        self._answers.clear()
        try:
            yield
        finally:
            self.answer()


class Held:
    """A key set whose clock is moved by hand. Who waits in vain does so for a minute of real time."""

    def __init__(self, issuer: Issuer) -> None:
        self.seconds = 1000.0
        refresh, refetch, patience = (timedelta(seconds=seconds) for seconds in (REFRESH_S, REFETCH_S, PATIENCE_S))
        self.keys = Jwks(issuer, refresh, refetch, patience, seconds=lambda: self.seconds)

    def elapse(self, seconds: float) -> None:
        self.seconds += seconds

    def has(self, key_id: str | None) -> bool:
        return self.keys.find(key_id) is not None


@contextmanager
def asked_for(jwks: Held, key_id: str, times: int) -> Iterator["Queue[object]"]:
    """Ask so many times at once; what comes of it, as it comes."""
    answers: Queue[object] = Queue()

    def ask() -> None:
        try:
            answers.put(jwks.has(key_id))
        except KeysUnavailable as error:
            answers.put(str(error))

    threads = [threading.Thread(target=ask) for _ in range(times)]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def asked_once() -> tuple[Issuer, Held]:
    """An issuer, and the set that has its keys."""
    issuer = Issuer(old=OLD)
    jwks = Held(issuer)
    assert jwks.has("old")
    assert issuer.was_asked.get(timeout=30) == 1
    return issuer, jwks


def test_an_unknown_id_has_the_keys_read_again_but_not_too_soon() -> None:
    issuer = Issuer(old=OLD)
    jwks = Held(issuer)
    assert jwks.has("old")
    issuer.document = a_jwks(new=NEW)
    jwks.elapse(REFETCH_S - BLINK)
    assert not jwks.has("new")
    assert [jwks.has(f"made up {n}") for n in range(100)] == [False] * 100
    assert issuer.asked == 1
    jwks.elapse(BLINK)
    assert jwks.has("new"), "it is waited for"
    assert not jwks.has("old")
    assert issuer.asked == 2


def test_known_keys_are_read_again_when_they_are_old_and_nobody_waits_for_that() -> None:
    issuer, jwks = asked_once()
    jwks.elapse(REFRESH_S - BLINK)
    assert jwks.has("old")
    assert issuer.asked == 1
    jwks.elapse(BLINK)
    issuer.document = a_jwks(new=NEW)
    with issuer.hanging():
        assert jwks.has("old")
        assert issuer.was_asked.get(timeout=30) == 2
        jwks.elapse(2 * REFRESH_S)
        assert jwks.has("old")
        assert issuer.asked == 2, "one read at a time"
    eventually(lambda: jwks.has("new"))


def test_keys_that_were_fetched_are_used_while_the_issuer_is_away() -> None:
    issuer = Issuer(old=OLD)
    jwks = Held(issuer)
    assert jwks.has("old")
    for fault in (OSError("secret"), ValueError("secret")):
        issuer.document = fault
        jwks.elapse(REFETCH_S)
        with capture_logs() as logs:
            assert not jwks.has("unknown")
        words = "the keys of the tokens' issuer cannot be read"
        assert logs == [{"event": words, "reason": type(fault).__name__, "log_level": "warning"}]
        assert jwks.has("old")
    issuer.document = a_jwks(new=NEW)
    jwks.elapse(REFETCH_S)
    assert jwks.has("new")
    assert issuer.asked == 4


def test_while_the_issuer_hangs_it_is_waited_for_only_as_long_as_patience_lasts() -> None:
    issuer, jwks = asked_once()
    jwks.elapse(REFETCH_S)
    with issuer.hanging(), asked_for(jwks, "unknown", 1):
        assert issuer.was_asked.get(timeout=30) == 2
        jwks.elapse(PATIENCE_S)
        assert {thread.daemon for thread in threading.enumerate() if thread.name == "key set"} == {True}, "it may end"
        with asked_for(jwks, "unknown", 1) as at_once:
            assert at_once.get(timeout=PATIENCE_S / 2) is False
        assert jwks.has("old")
        assert issuer.asked == 2
        issuer.answer()  # whoever waits need not lose patience


def test_many_wait_for_one_answer() -> None:
    issuer = Issuer(old=OLD)
    jwks = Held(issuer)
    with issuer.hanging(), asked_for(jwks, "old", MOST_WHO_WAIT) as answers:
        assert issuer.was_asked.get(timeout=30) == 1
        jwks.elapse(REFETCH_S - BLINK)
        issuer.answer()
        assert [answers.get(timeout=30) for _ in range(MOST_WHO_WAIT)] == [True] * MOST_WHO_WAIT
    assert issuer.asked == 1


def test_no_more_than_a_few_wait_and_known_keys_need_no_waiting() -> None:
    issuer = Issuer(old=OLD)
    jwks = Held(issuer)
    assert jwks.has("old")
    for _ in range(2):  # who has waited makes room for others
        jwks.elapse(REFETCH_S)
        with issuer.hanging(), asked_for(jwks, "made up", MOST_WHO_WAIT + 3) as answers:
            assert [answers.get(timeout=20) for _ in range(3)] == [LATER] * 3
            assert jwks.has("old")
            assert answers.empty(), "the others wait"
            issuer.answer()
            assert [answers.get(timeout=20) for _ in range(MOST_WHO_WAIT)] == [False] * MOST_WHO_WAIT


def test_without_any_key_nothing_is_said_of_a_token() -> None:
    issuer = Issuer(old=OLD)
    good, issuer.document = issuer.document, OSError()
    jwks = Held(issuer)
    for _ in range(3):
        with pytest.raises(KeysUnavailable, match=LATER):
            jwks.has("old")
    assert issuer.asked == 1
    issuer.document = good
    jwks.elapse(REFETCH_S)
    assert jwks.has("old")


def test_only_public_signature_keys_are_taken() -> None:
    document = json.loads(a_jwks(rsa=OLD, ec=NEW, unused=OLD, encrypts=OLD, signs=OLD))
    ec = document["keys"][1]
    document["keys"][2]["use"] = "enc"
    document["keys"][3].update(use="enc", kid="encrypts")
    del document["keys"][4]["use"]
    document["keys"] += [
        {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "of an unknown curve", "crv": "P-999"},
        {"kty": "RSA", "kid": "of nothing"},
        {"kty": "RSA", "kid": "of a number", "n": 5, "e": 5},
        {"kty": "OKP", "kid": "of another kind", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kid": "of no kind"},
        {**ec, "kid": ["ec"]},
        {**ec, "kid": {"of": "an object"}},
        {**ec, "kid": 5},
        {**ec, "kid": "beside its curve", "x": ec["y"]},
        {"kty": "RSA", "kid": "of next to nothing", "n": "BQ", "e": "AQAB"},
        {"kty": "RSA", "kid": "of other letters", "n": "\N{GREEK SMALL LETTER ALPHA}", "e": "AQAB"},
        5,
        None,
        "text",
        [],
    ]
    keys = keys_of(json.dumps(document).encode())
    assert {key_id: key.algorithm_name for key_id, key in keys.items()} == {
        "rsa": "RS256",
        "ec": "ES256",
        "signs": "RS256",
    }


@pytest.mark.parametrize(("bits", "is_taken"), [(1024, False), (2040, False), (2048, True), (3072, True)])
def test_an_rsa_key_below_2048_bits_is_left_out_and_counted(bits: int, is_taken: bool) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    left_out: list[int] = []
    assert ("one" in keys_of(a_jwks(one=key, ec=NEW), left_out.append)) is is_taken
    assert left_out == [0 if is_taken else 1]
    issuer = Issuer(one=key, ec=NEW)
    jwks = Held(issuer)
    with capture_logs() as logs:
        assert (jwks.has("one"), jwks.has("ec")) == (is_taken, True)
    assert jwks.keys.short_keys == (not is_taken)
    words = {
        "event": "keys of the tokens' issuer are left out: RSA below 2048 bits",
        "count": 1,
        "log_level": "warning",
    }
    assert logs == ([] if is_taken else [words])


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b"5", b'{"keys": 5}', b'{"keys": {}}', b'{"keys": "RSA"}', b'{"keys": []}', b"<html>", b"\xff",
     b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):
        keys_of(document)


def test_without_a_place_to_read_from_there_is_no_key_set() -> None:
    assert jwks_of(JwtSettings()) is None
