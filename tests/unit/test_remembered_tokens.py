"""Tokens that were verified before: believed without a thread, but no longer than the token and its key last."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.system import eventually
from tests.builders import a_jwks, a_key_pair
from tests.unit.credentials import ANN, BOBS_KEY, CLIENTS, HELD, KEY, LEEWAY, TOKENS, at, signed, signed_part, token

from carecase_worker.errors import AccessRefused
from carecase_worker.intake.access.authenticator import Authenticator
from carecase_worker.intake.access.jwks import Jwks
from carecase_worker.intake.access.revocations import Revocations
from carecase_worker.settings.sections.access import JwtSettings

MOST = 1000


class Moment:
    """A clock that is set."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self) -> datetime:
        return self.moment


def test_a_token_is_remembered_once_it_was_verified_and_whatever_else_is_sent_is_checked() -> None:
    one = Authenticator(CLIENTS, TOKENS, "both")
    authorization = token()
    assert one.known(KEY, authorization) is None, "a thread has to verify it first"
    assert one.caller(KEY, authorization) == ANN
    assert one.known(KEY, authorization) == ANN
    assert one.known(KEY, authorization.replace("Bearer ", "bearer  ")) == ANN
    assert one.known(KEY, token(jti="another")) is None
    assert one.known(KEY, authorization.replace("Bearer ", "Basic ")) is None
    for key in (BOBS_KEY, "wrong", None):
        with pytest.raises(AccessRefused):
            one.known(key, authorization)


def test_a_token_whose_end_is_written_as_text_is_good_and_verified_each_time() -> None:
    one = Authenticator(CLIENTS, TOKENS, "both")
    authorization = token(exp=str(at(timedelta(hours=1))))
    for _ in range(2):
        assert one.known(KEY, authorization) is None
        assert one.caller(KEY, authorization) == ANN


def test_a_token_that_was_refused_is_not_remembered() -> None:
    one = Authenticator(CLIENTS, TOKENS, "both")
    authorization = token("x" * 32)
    for _ in range(2):
        with pytest.raises(AccessRefused):
            one.caller(KEY, authorization)
        assert one.known(KEY, authorization) is None


def test_a_token_is_forgotten_as_it_expires() -> None:
    clock, expiry = Moment(), at(timedelta(hours=1))
    one = Authenticator(CLIENTS, TOKENS, "both", clock=clock)
    authorization = token(exp=expiry)
    one.caller(KEY, authorization)
    end = datetime.fromtimestamp(expiry, UTC) + LEEWAY
    clock.moment = end - timedelta(seconds=1)
    assert one.known(KEY, authorization) == ANN
    clock.moment = end
    assert one.known(KEY, authorization) is None


OLD, NEW = a_key_pair("ES256"), a_key_pair("ES256")


@pytest.mark.parametrize("later", [a_jwks(k1=NEW), a_jwks(k2=OLD)], ids=["the id has another key", "the id has no key"])
def test_a_token_is_forgotten_with_the_key_that_signed_it(later: bytes) -> None:
    published, seconds = [a_jwks(k1=OLD)], [0.0]
    keys = Jwks(
        lambda: published[-1], timedelta(seconds=60), timedelta(seconds=5), timedelta(seconds=60), lambda: seconds[0]
    )
    tokens = JwtSettings.model_validate({**HELD, "algorithms": ["ES256"], "secret": None})
    one = Authenticator(CLIENTS, tokens, "both", keys)
    authorization = signed(OLD, "ES256", "k1")
    assert one.caller(KEY, authorization) == ANN
    published.append(later)
    assert one.known(KEY, authorization) == ANN, "the keys are not read at each request"
    seconds[0] = 60.0
    keys.find("an id that makes it wait for the keys")
    assert one.known(KEY, authorization) is None


def test_keys_that_are_old_are_read_again_also_where_every_token_is_remembered() -> None:
    published, seconds = [a_jwks(k1=OLD)], [0.0]
    refresh, refetch, patience = timedelta(seconds=60), timedelta(seconds=5), timedelta(seconds=60)
    keys = Jwks(lambda: published[-1], refresh, refetch, patience, lambda: seconds[0])
    tokens = JwtSettings.model_validate({**HELD, "algorithms": ["ES256"], "secret": None})
    one = Authenticator(CLIENTS, tokens, "both", keys)
    authorization = signed(OLD, "ES256", "k1")
    assert one.caller(KEY, authorization) == ANN
    published.append(a_jwks(k2=NEW))
    seconds[0] = 60.0
    eventually(lambda: one.known(KEY, authorization) is None, what="the issuer's key is withdrawn")


def test_a_list_of_revocations_that_is_due_is_looked_at_by_a_thread(tmp_path: Path) -> None:
    file, seconds = tmp_path / "revoked", [0.0]
    file.write_text("")
    revocations = Revocations(file, timedelta(seconds=5), lambda: seconds[0])
    one = Authenticator(CLIENTS, TOKENS, "both", revocations=revocations)
    authorization = token()
    assert one.caller(KEY, authorization) == ANN
    assert one.known(KEY, authorization) == ANN
    seconds[0] = 5.0
    assert one.known(KEY, authorization) is None, "a file may be on a disk that hangs"
    assert one.caller(KEY, authorization) == ANN
    assert one.known(KEY, authorization) == ANN


@pytest.mark.parametrize("listed", ["jti 1", "sub user", "client ann", "token"])
def test_a_token_that_is_remembered_is_refused_once_it_is_revoked(tmp_path: Path, listed: str) -> None:
    file, seconds = tmp_path / "revoked", [0.0]
    file.write_text("")
    revocations = Revocations(file, timedelta(seconds=5), lambda: seconds[0])
    one = Authenticator(CLIENTS, TOKENS, "both", revocations=revocations)
    authorization = token(jti="1")
    assert one.caller(KEY, authorization) == ANN
    file.write_text(listed if listed != "token" else f"token {signed_part(authorization)}")
    seconds[0] = 5.0
    for _ in range(2):
        assert one.known(KEY, authorization) is None, "the list is due"
        revocations.look(file)
        with pytest.raises(AccessRefused, match="revoked"):
            one.known(KEY, authorization)
        seconds[0] += 5.0


def test_so_many_are_remembered_and_the_oldest_goes_first() -> None:
    one = Authenticator(CLIENTS, TOKENS, "both")
    made: list[Any] = [token(jti=str(number)) for number in range(MOST + 1)]
    for authorization in made:
        one.caller(KEY, authorization)
    assert [one.known(KEY, made[place]) for place in (0, 1, MOST)] == [None, ANN, ANN]
