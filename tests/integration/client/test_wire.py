"""The client on the wire: what it sends, how long it waits, and what it makes of a service that does not answer."""

import asyncio
import io
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.peers import JOB, Received, Reply, a_job, accepted, answering, items, job_reply, problem
from tests.ports import free_port

from carecase_worker.client.access import Access
from carecase_worker.client.api import connect, connect_async, connect_to
from carecase_worker.client.asynchronous import AsyncCareCases
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import ItemResult
from carecase_worker.client.exchange.calls import Calls
from carecase_worker.client.exchange.steps import Delay, Request
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.clock import SystemClock, SystemRandom, system_async_sleep, uuid7
from carecase_worker.errors import ClientError, ServiceUnreachable

CASES = [a_case(n) for n in range(3)]
ONCE = RetryPolicy(tries=1, silence=timedelta(seconds=0.4))
UNHURRIED = RetryPolicy(tries=1)


async def stream(cases: list[Any]) -> AsyncIterator[Any]:
    for case in cases:
        yield case


def conversation(url: str) -> list[Any]:
    """Every call once; what they come to."""
    with connect(url, api_key="k", token="t", database="d") as client:
        jobs = [client.submit(CASES, 5, "key", strict=True)]
        jobs += client.submit_all((case for case in CASES), 7, "run", batch_items=2)
        results = [*client.validate(CASES, 5), *client.results(JOB, "failed", page_size=1)]
        jobs += [client.job(JOB), client.job(JOB, within=2), client.wait(JOB), client.cancel(JOB)]
        jobs += [client.retry(JOB, "again"), *client.jobs("queued", "d", 2, 1)]
        client.purge(JOB)
    return [*jobs, *results]


async def conversation_without_blocking(url: str) -> list[Any]:
    async with connect_async(url, api_key="k", token="t", database="d") as client:
        jobs = [await client.submit(stream(CASES), 5, "key", strict=True)]
        jobs += [job async for job in client.submit_all(stream(CASES), 7, "run", batch_items=2)]
        results = [one async for one in client.validate(stream(CASES), 5)]
        results += [one async for one in client.results(JOB, "failed", page_size=1)]
        jobs += [await client.job(JOB), await client.job(JOB, within=2), await client.wait(JOB)]
        jobs += [await client.cancel(JOB), await client.retry(JOB, "again")]
        jobs += [one async for one in client.jobs("queued", "d", 2, 1)]
        await client.purge(JOB)
    return [*jobs, *results]


def replies() -> list[Reply]:
    listed = [
        Reply(200, {"data": [a_job()]}, {"x-pagination": json.dumps({"CurrentPage": n, "TotalPages": 3})})
        for n in (2, 3)
    ]
    pages = [items((n, 422, "no"), pages=(n, 2), indexes=(n,)) for n in (1, 2)]
    validated = items(*[(n, 200, "Valid") for n in range(3)])
    return [*[accepted()] * 3, validated, *pages, *[job_reply(created=3)] * 3, *[accepted()] * 2, *listed, Reply(204)]


def essence(one: Received) -> tuple[str, dict[str, str], bytes]:
    """A request as far as the contract says what it is."""
    wire = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding"}
    headers = {name: value for name, value in one.headers.items() if name not in wire}
    return f"{one.method} {one.path}", headers, one.body


def test_every_call_is_the_same_on_the_wire_whether_it_blocks_or_not() -> None:
    with answering(*replies()) as blocking:
        made = conversation(blocking.url)
    with answering(*replies()) as asynchronous:
        assert asyncio.run(conversation_without_blocking(asynchronous.url)) == made
    sent = [essence(one) for one in blocking.received]
    assert sent == [essence(one) for one in asynchronous.received]
    credentials = {"user-agent": "carecase-worker", "accept": "application/json", "x-api-key": "k"}
    credentials["authorization"] = "Bearer t"
    batch = {**credentials, "content-type": "application/json", "vbasoftware-database": "d"}
    whole = json.dumps(CASES, separators=(",", ":")).encode()
    parts = [json.dumps(some, separators=(",", ":")).encode() for some in (CASES[:2], CASES[2:])]
    assert sent == [
        ("PUT /care-plans/5/cases-batch", {**batch, "idempotency-key": "key", "prefer": "handling=strict"}, whole),
        ("PUT /care-plans/7/cases-batch", {**batch, "idempotency-key": "run"}, parts[0]),
        ("PUT /care-plans/7/cases-batch", {**batch, "idempotency-key": "run-2"}, parts[1]),
        ("PUT /care-plans/5/cases-batch?validateOnly=true", batch, whole),
        (f"GET /jobs/{JOB}/result?page=1&pageSize=1&outcome=failed", credentials, b""),
        (f"GET /jobs/{JOB}/result?page=2&pageSize=1&outcome=failed", credentials, b""),
        (f"GET /jobs/{JOB}", credentials, b""),
        (f"GET /jobs/{JOB}", {**credentials, "prefer": "wait=2"}, b""),
        (f"GET /jobs/{JOB}", {**credentials, "prefer": "wait=20"}, b""),
        (f"DELETE /jobs/{JOB}", credentials, b""),
        (f"POST /jobs/{JOB}/retry", {**credentials, "idempotency-key": "again"}, b""),
        ("GET /jobs?state=queued&database=d&page=2&pageSize=1", credentials, b""),
        ("GET /jobs?state=queued&database=d&page=3&pageSize=1", credentials, b""),
        (f"DELETE /jobs/{JOB}?purge=true", credentials, b""),
    ]


async def sent_without_blocking(url: str, cases: Any) -> list[ItemResult]:
    async with connect_async(url) as client:
        _ = [job async for job in client.submit_all(cases, batch_items=2, idempotency_key="run")]
        return [one async for one in client.validate(cases)]


def test_without_blocking_cases_may_come_from_anywhere_where_they_may_with_it(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_bytes(json.dumps(CASES).encode())
    bodies = [json.dumps(some, separators=(",", ":")).encode() for some in (CASES[:2], CASES[2:], CASES)]
    for cases in (CASES, file):
        with answering(accepted(), accepted(), items(*[(n, 200, "Valid") for n in range(3)])) as peer:
            results = asyncio.run(sent_without_blocking(peer.url, cases))
        assert [json.loads(one.body) for one in peer.received] == list(map(json.loads, bodies))
        assert [one.index for one in results] == [0, 1, 2]


def test_of_more_than_the_service_validates_at_once_each_part_is_counted_on() -> None:
    parts = [items(*[(n, 200, "Valid") for n in range(20_000)]), items((20_000, 422, "no"))]
    with answering(*parts) as peer, connect(peer.url) as client:
        results = list(client.validate(({"case_Key": n} for n in range(20_001)), 7))
    assert peer.calls == ["PUT /care-plans/7/cases-batch?validateOnly=true"] * 2
    assert [len(json.loads(one.body)) for one in peer.received] == [20_000, 1]
    assert [one.index for one in results] == list(range(20_001))
    assert results[-1] == ItemResult(20_000, 20_000, 422, "no")


def test_a_batch_is_sent_whole_again_after_a_refusal() -> None:
    refusals = problem(503, retry_after="0"), Reply(502, b"", {"retry-after": "0"})
    with answering(*refusals, accepted()) as peer, connect(peer.url) as client:
        client.submit(io.BytesIO(json.dumps(CASES).encode()))
    assert len(peer.received) == 3
    assert len({(one.headers["idempotency-key"], one.body) for one in peer.received}) == 1
    assert json.loads(peer.received[0].body) == CASES


def test_whoever_looks_on_is_shown_each_step_and_each_piece_that_has_gone() -> None:
    seen: list[Any] = []

    @contextmanager
    def notice(step: Request | Delay) -> Iterator[Callable[[], None]]:
        seen.append(step)
        yield lambda: seen.append("moved")
        seen.append("over")

    body = b"[" + b" " * (600 << 10) + b"{}]"
    sizes: list[int] = []
    refusal = problem(503, retry_after="0")
    with answering(refusal, accepted()) as peer, connect_to(Access(peer.url), notice=notice) as client:
        client.submit(body, sent=sizes.append)
    kinds = [type(one).__name__ if isinstance(one, Request | Delay) else one for one in seen]
    put = ["Request", *["moved"] * 3, "over"]
    assert kinds == [*put, "Delay", "over", *put]
    assert sum(sizes) == 2 * len(body)


@contextmanager
def mute() -> Iterator[str]:
    """A service that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def hanging_up() -> Iterator[str]:
    """A service that closes each connection once it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    with server.accept()[0] as one:
                        one.recv(1000)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def nobody() -> str:
    """The URL of a port where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


def asked(url: str, policy: RetryPolicy = UNHURRIED) -> list[str]:
    """What both kinds of client say of a service."""

    async def ask() -> None:
        clock = SystemClock()
        calls = Calls(None, clock, SystemRandom(), lambda: uuid7(clock), policy)
        async with AsyncCareCases(Access(url), calls, system_async_sleep) as client:
            await client.job(JOB)

    with pytest.raises(ServiceUnreachable) as one, connect_to(Access(url), policy) as client:
        client.job(JOB)
    with pytest.raises(ServiceUnreachable) as other:
        asyncio.run(ask())
    return [str(one.value), str(other.value)]


def test_a_service_that_does_not_answer_is_reported_with_how() -> None:
    text = "There is no response ({}). Check the URL, and whether the service runs."
    with mute() as url:
        assert asked(url, ONCE) == [text.format("ReadTimeout: no data for 0.4 s")] * 2
    with hanging_up() as url:
        assert asked(url) == [text.format("RemoteProtocolError")] * 2
    assert asked(nobody()) == [text.format("ConnectError")] * 2


@pytest.mark.parametrize("silence_s", [0.0, 0.6])
def test_a_long_poll_may_take_longer_than_the_service_may_be_silent(silence_s: float) -> None:
    late = replace(job_reply(created=3), silence_s=silence_s)
    with answering(late) as peer, connect_to(Access(peer.url), ONCE) as client:
        assert client.job(JOB, within=20).final


def test_silence_counts_against_the_patience_of_a_call() -> None:
    """One silence of all the time that there is, and no second try."""
    policy = RetryPolicy(tries=100, silence=timedelta(seconds=0.4), within=timedelta(seconds=0.4))
    with answering(*[replace(job_reply(), silence_s=60)] * 2) as peer:
        with pytest.raises(ServiceUnreachable), connect_to(Access(peer.url), policy) as client:
            client.job(JOB)
        eventually(lambda: peer.received, what="the request was seen")
        assert len(peer.received) == 1


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h", "http://h"),
        (" https://h:1/prefix/ \n", "https://h:1/prefix/"),
        ("http://u:p@h:65535/x", "http://h:65535/x"),
        ("https://[::1]:8080", "https://[::1]:8080"),
    ],
)
def test_a_url_is_shown_without_a_password(url: str, base: str) -> None:
    with connect(url) as client:
        assert repr(client) == f"CareCases('{base}')"
    assert repr(connect_async(url)) == f"AsyncCareCases('{base}')"


@pytest.mark.parametrize("make", [connect, connect_async])
def test_a_client_tells_which_database_its_batches_are_for(make: Callable[..., CareCases | AsyncCareCases]) -> None:
    assert make("http://h", database="d").database == "d"
    assert make("http://h").database is None


@pytest.mark.parametrize(
    "url", ["", "h", "ftp://h", "http://", "http://:80", "http://h:0", "http://h:65536", "http://h:x", "http://a..b"]
)
def test_what_is_no_url_is_reported(url: str) -> None:
    text = "Not a valid service URL. Give one like https://host or http://127.0.0.1:8080"
    for make in (connect, connect_async):
        with pytest.raises(ClientError) as raised:
            make(url)
        assert str(raised.value) == text


@pytest.mark.parametrize(
    ("name", "what"), [("api_key", "API key"), ("token", "token"), ("database", "database's name")]
)
@pytest.mark.parametrize("value", ["a b", "ä", "a\n", "\x7f", "a\tb"])
def test_credentials_that_no_header_can_carry_are_refused_without_being_shown(name: str, what: str, value: str) -> None:
    with pytest.raises(ClientError) as raised:
        connect("http://h", **{name: value})
    text = f"The {what} has a space or another invalid character. Copy it again, and nothing else."
    assert str(raised.value) == text


def test_a_service_behind_a_prefix_is_asked_there() -> None:
    with answering(job_reply(created=3), accepted()) as peer, connect(f"{peer.url}/behind/it") as client:
        client.job(JOB)
        client.submit(CASES)
    assert peer.calls == [f"GET /behind/it/jobs/{JOB}", "PUT /behind/it/care-cases-batch"]


def test_no_credentials_are_sent_that_were_not_given() -> None:
    with answering(job_reply(created=3)) as peer, connect(peer.url) as client:
        client.job(JOB)
    assert not {"x-api-key", "authorization", "vbasoftware-database"} & peer.received[0].headers.keys()
