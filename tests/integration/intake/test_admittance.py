"""Who is not let in waits for the answer, and nobody else does. Only the least time is tested here: no bound is one of
wall time that a slow machine breaks."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from threading import Event

import jwt
import pytest
from tests.builders import Highest, a_key_pair
from tests.integration.intake.intakes import KEYS, SECRET, settings_of
from tests.services import Services

from carecase_worker.errors import AccessRefused, KeysUnavailable, RateExceeded
from carecase_worker.intake.access.access_control import AccessControl
from carecase_worker.intake.access.authenticator import Authenticator, Caller, gate_of
from carecase_worker.intake.access.jwks import Jwks
from carecase_worker.intake.limits.threads import Threads
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.store.rate_limit import RateLimiter

HOLD_S = 0.2
FOR_EVER = timedelta(days=1)


def ignore(_: Caller) -> None:
    """Learn of a caller."""


def admittance(servers: Services, hold: timedelta, client: str) -> AccessControl:
    """The gate of intakes, by which a client comes in once a day."""
    settings = settings_of(servers.redis_url, f"admittance-{client}:", intake={"require": "either"})
    return AccessControl(gate_of(settings), RateLimiter(settings.redis, 1 / 86_400, 1), hold)


def test_who_is_refused_waits_for_the_answer(servers: Services) -> None:
    async def come_in() -> None:
        door = admittance(servers, timedelta(seconds=HOLD_S), "ann")
        with pytest.raises(AccessRefused):
            await _timed(door, "wrong")
        assert await _timed(door, KEYS["ann"]) == "ann"
        with pytest.raises(RateExceeded):
            await _timed(door, KEYS["ann"])

    asyncio.run(come_in())


def test_who_comes_too_often_is_known_for_the_log_once_it_has_waited(servers: Services) -> None:
    async def come_in() -> list[str]:
        door, seen = admittance(servers, timedelta(seconds=HOLD_S), "often"), list[str]()
        await door.admit(KEYS["ann"], None, None, ignore)
        began = time.monotonic()

        def know(caller: Caller) -> None:
            assert time.monotonic() - began >= HOLD_S
            seen.append(caller.client)

        with pytest.raises(RateExceeded):
            await door.admit(KEYS["ann"], None, None, know)
        return seen

    assert asyncio.run(come_in()) == ["ann"]


def test_refusals_of_one_moment_spread_out(servers: Services) -> None:
    async def come_in() -> None:
        door = replace(admittance(servers, timedelta(seconds=HOLD_S / 2), "spread"), random=Highest())
        with pytest.raises(AccessRefused):
            await _timed(door, "wrong")

    asyncio.run(come_in())


def test_an_address_whose_tokens_take_long_holds_up_no_other(servers: Services) -> None:
    asked, end = Event(), Event()

    def keys() -> bytes:
        asked.set()
        end.wait(120)
        return b"{}"

    issuer = Jwks(keys, FOR_EVER, FOR_EVER, FOR_EVER)
    tokens = JwtSettings.model_validate({"algorithms": ["HS256", "ES256"], "secret": SECRET})
    gate = Authenticator(settings_of(servers.redis_url, "slow:").clients, tokens, "either", issuer)
    claims = {"client_id": "ann", "exp": 4_000_000_000}
    slow, good = (
        f"Bearer {jwt.encode(claims, key, algorithm)}"
        for key, algorithm in ((a_key_pair("ES256"), "ES256"), (SECRET, "HS256"))
    )

    async def come_in() -> str:
        door = replace(admittance(servers, FOR_EVER, "slow"), gate=gate, threads=Threads(2, 1))
        held = asyncio.create_task(door.check(None, slow, "192.0.2.7"))
        await asyncio.to_thread(asked.wait, 120)
        try:
            async with asyncio.timeout(60):
                caller = await door.check(None, good, "192.0.2.8")
            assert not held.done()
        finally:
            end.set()
        with pytest.raises(KeysUnavailable):
            await held
        return caller.client

    assert asyncio.run(come_in()) == "ann"


def test_checks_for_one_address_leave_as_many_threads_to_all_others(servers: Services) -> None:
    threads = admittance(servers, FOR_EVER, "threads").threads
    assert threads.share("192.0.2.7").total_tokens * 2 <= threads.all.total_tokens


def test_who_is_let_in_does_not_wait(servers: Services) -> None:
    assert asyncio.run(admittance(servers, FOR_EVER, "bob").admit(KEYS["bob"], None, None, ignore)).client == "bob"


def test_others_come_in_while_a_refusal_is_delayed(servers: Services) -> None:
    async def come_in() -> str:
        door = admittance(servers, FOR_EVER, "both")
        tasks = [asyncio.create_task(door.admit("wrong", None, None, ignore)) for _ in range(100)]
        caller = await door.admit(KEYS["ann"], None, None, ignore)
        assert not any(one.done() for one in tasks)
        for one in tasks:
            one.cancel()
        return caller.client

    assert asyncio.run(come_in()) == "ann"


async def _timed(door: AccessControl, key: str) -> str:
    """The client of a key; a refusal is raised once it was seen to wait."""
    began = time.monotonic()
    try:
        return (await door.admit(key, None, None, ignore)).client
    except (AccessRefused, RateExceeded):
        assert time.monotonic() - began >= HOLD_S
        raise
