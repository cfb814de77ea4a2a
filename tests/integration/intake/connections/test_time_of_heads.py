"""A head has its time, and each head of a connection its own."""

import pytest
from tests.integration.intake.connections.guarded import (
    BLINK,
    GET,
    GUARD,
    HEAD_S,
    IDLE_S,
    Held,
    at_once,
    nobody,
    problem_of,
)
from tests.integration.intake.own_time import elapse, in_own_time, served

pytestmark = pytest.mark.timeout(300)  # of the time that does not stand still: what is not let go would be awaited


@pytest.mark.parametrize(
    ("sent", "status"), [(b"", None), (b"\r\n", 408), (b"G", 408), (GET[:-4], 408), (GET[:-1], 408), (GET[:20], 408)]
)
@in_own_time
async def test_a_head_has_its_time_and_no_more(sent: bytes, status: int | None) -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(sent)
        await elapse(HEAD_S - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        response = await client.rest()
        assert (problem_of(response)["status"] if status else response) == (status or b"")
        assert nobody(service)


@in_own_time
async def test_a_head_that_comes_drop_by_drop_has_no_more_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        for byte in GET[:20]:
            await client.send(bytes([byte]))
            await elapse(HEAD_S / 20)
        assert problem_of(await client.rest()) == {
            "type": "urn:carecase:problem:http-408",
            "title": "Request Timeout",
            "status": 408,
            "detail": "The request took too long to arrive. Send it again.",
            "instance": "/",
        }
        assert nobody(service)


@in_own_time
async def test_each_head_of_a_connection_has_its_own_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        for _ in range(3):
            await client.send(GET[:10])
            await elapse(HEAD_S - BLINK)
            await client.send(GET[10:])
            assert (await client.answer()).endswith(b"done")
            await elapse(IDLE_S - BLINK)
        await client.send(GET[:10])
        await elapse(HEAD_S)
        assert problem_of(await client.rest())["status"] == 408
        assert nobody(service)


@in_own_time
async def test_the_head_of_the_next_request_is_not_late_while_an_answer_is_awaited() -> None:
    held = Held()
    async with served(held, **GUARD) as service, service.client() as client:
        await client.send(GET + GET[:10])
        for _ in range(5):
            await elapse(HEAD_S)
        assert await client.is_open()
        held.go_on.set()
        assert (await client.answer()).endswith(b"done")
        await elapse(HEAD_S)
        assert problem_of(await client.rest())["status"] == 408
        assert nobody(service)


@in_own_time
async def test_a_connection_without_a_request_is_closed_after_its_time() -> None:
    async with served(at_once, **GUARD) as service, service.client() as client:
        await client.send(GET)
        await client.answer()
        await elapse(IDLE_S - BLINK)
        assert await client.is_open()
        await elapse(BLINK)
        assert await client.rest() == b""
        assert nobody(service)
