"""Every bound of the intake: exactly as much is taken, and one more is not; each refusal says what to do."""

import gzip
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
import zstandard
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

ITEMS, CHUNK_ITEMS, BODY_BYTES, ITEM_BYTES, CHUNK_BYTES, WAIT_S = 7, 5, 3000, 400, 1000, 2
INT32_MAX, INT32_MIN = 2**31 - 1, -(2**31)
JOB = "/jobs/019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    bounds = {
        "max_items": ITEMS,
        "max_body_bytes": BODY_BYTES,
        "max_item_bytes": ITEM_BYTES,
        "max_wait_seconds": WAIT_S,
    }
    jobs = {"chunk_items": CHUNK_ITEMS, "chunk_bytes": CHUNK_BYTES}
    with an_intake(servers.redis_url, "bounds:", intake=bounds, jobs=jobs) as started:
        yield started


@dataclass(frozen=True)
class Sent:
    """A request, but for its credentials."""

    method: str = "PUT"
    path: str = "/care-cases-batch"
    body: bytes = a_batch(a_case())
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bound:
    """A bound: the request for a size, the largest size, and status, problem and a part of the words for one more."""

    name: str
    of: Callable[[int], Sent]
    most: int
    taken: int
    refused: tuple[int, str, str]
    least: int | None = None


def items(count: int) -> bytes:
    return a_batch(*(a_case(n) for n in range(count)))


def body(size: int) -> bytes:
    """An array of so many bytes."""
    text = a_batch(a_case())
    return text + b" " * (size - len(text))


def case_of(size: int) -> bytes:
    """A case of so many bytes."""
    text = json.dumps(a_case(x="")).encode()
    return text.replace(b'"x": ""', b'"x": "%b"' % (b"y" * (size - len(text))))


def chunk_of(size: int) -> bytes:
    """A batch whose items have so many bytes, none of them too many."""
    return b"[%b]" % b",".join([case_of(ITEM_BYTES - 1)] * 2 + [case_of(size - 2 * (ITEM_BYTES - 1))])


def encoded(way: Callable[[bytes], bytes], name: str, content: Callable[[int], bytes]) -> Callable[[int], Sent]:
    return lambda size: Sent(body=way(content(size)), headers={"content-encoding": name})


def padded(size: int) -> Sent:
    """A body of so many bytes as it is sent, which decodes to few."""
    packed = gzip.compress(a_batch(a_case()))
    return Sent(body=packed + bytes(size - len(packed)), headers={"content-encoding": "gzip"})


def window_of(mebibytes: int) -> Sent:
    """A zstd frame that asks for such a window, and holds a case in one raw block."""
    # RFC 8878: a power of two, of kibibytes, and so many eighths of it on top
    power = mebibytes.bit_length() - 1
    eighths = (mebibytes << 3 >> power) - 8
    content = a_batch(a_case())
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([10 + power << 3 | eighths])
    block = struct.pack("<I", len(content) << 3 | 1)[:3] + content
    return Sent(body=header + block, headers={"content-encoding": "zstd"})


def keyed(length: int) -> Sent:
    return Sent(headers={"idempotency-key": "k" * length})


def page(path: str, name: str) -> Callable[[int], Sent]:
    return lambda number: Sent("GET", f"{path}?{name}={number}", b"")


MALFORMED = (400, "bad-parameter", "A parameter is not valid: ")
TOO_MANY_BYTES = (413, "too-large", f"The body has more than {BODY_BYTES} bytes. Send the cases in several batches.")
NOT_STRICT = (422, "too-large-for-strict", f"at most {CHUNK_ITEMS} items and {CHUNK_BYTES} bytes")
STRICT = {"prefer": "handling=strict"}
BOUNDS = [
    Bound("items of a batch", lambda n: Sent(body=items(n)), ITEMS, 202,
          (413, "too-many-items", f"The batch has more than {ITEMS} items. Send them in several batches."), least=1),
    Bound("items of lines", lambda n: Sent(body=b"\n".join([json.dumps(a_case()).encode()] * n),
                                           headers={"content-type": "application/x-ndjson"}), ITEMS, 202,
          (413, "too-many-items", f"more than {ITEMS} items"), least=1),
    Bound("items of a strict batch", lambda n: Sent(body=items(n), headers=STRICT), CHUNK_ITEMS, 202, NOT_STRICT, 1),
    Bound("bytes of a strict batch", lambda n: Sent(body=chunk_of(n), headers=STRICT), CHUNK_BYTES, 202, NOT_STRICT),
    Bound("bytes of a strict batch, but for an item that is too large", lambda n: Sent(
        body=chunk_of(n)[:-1] + b",%b]" % case_of(ITEM_BYTES + 1), headers=STRICT), CHUNK_BYTES, 202, NOT_STRICT),
    Bound("bytes of a body", lambda n: Sent(body=body(n)), BODY_BYTES, 202, TOO_MANY_BYTES),
    Bound("decoded bytes, gzip", encoded(gzip.compress, "gzip", body), BODY_BYTES, 202, TOO_MANY_BYTES),
    Bound("decoded bytes, zstd", encoded(zstandard.compress, "zstd", body), BODY_BYTES, 202, TOO_MANY_BYTES),
    Bound("bytes of a body as it is sent", padded, BODY_BYTES, 202, TOO_MANY_BYTES),
    Bound("MiB of a zstd window", window_of, 8, 202,
          (400, "broken-encoding", "more than 8 MiB. Compress the body with --long=23 or less, and without --ultra.")),
    Bound("characters of an Idempotency-Key", keyed, 255, 202,
          (*MALFORMED[:2], f"{MALFORMED[2]}Idempotency-Key must have 1 to 255 characters."), least=1),
    Bound("a care plan's key", lambda n: Sent(path=f"/care-plans/{n}/cases-batch"), INT32_MAX, 202,
          (*MALFORMED[:2], f"carePlanKey must be an integer from {INT32_MIN} to {INT32_MAX}."), least=INT32_MIN),
    Bound("a page of jobs", page("/jobs", "page"), INT32_MAX, 200,
          (*MALFORMED[:2], f"page must be an integer from 1 to {INT32_MAX}."), least=1),
    Bound("jobs on a page", page("/jobs", "pageSize"), 1000, 200,
          (*MALFORMED[:2], "pageSize must be an integer from 1 to 1000."), least=1),
    Bound("a page of a result", page(f"{JOB}/result", "page"), INT32_MAX, 404,
          (*MALFORMED[:2], f"page must be an integer from 1 to {INT32_MAX}."), least=1),
    Bound("items on a page", page(f"{JOB}/result", "pageSize"), 1000, 404,
          (*MALFORMED[:2], "pageSize must be an integer from 1 to 1000."), least=1),
]  # fmt: skip


def answered(intake: Intake, sent: Sent) -> httpx.Response:
    with intake.client(**sent.headers) as client:
        return client.request(sent.method, sent.path, content=sent.body)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_as_much_is_taken_and_one_more_is_not(intake: Intake, bound: Bound) -> None:
    sizes = [bound.most - 1, bound.most]
    if bound.least is not None:
        sizes += [bound.least, bound.least + 1]
    for size in sizes:
        response = answered(intake, bound.of(size))
        assert response.status_code == bound.taken, (size, response.text)
    response = answered(intake, bound.of(bound.most + 1))
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (bound.refused[0], f"urn:carecase:problem:{bound.refused[1]}")
    assert bound.refused[2] in error["detail"]
    if bound.least is not None:
        response = answered(intake, bound.of(bound.least - 1))
        assert response.status_code == 400


@pytest.mark.parametrize(("more", "status", "text"), [
    (-1, 200, "Valid"), (0, 200, "Valid"), (1, 422, f"item: must have at most {ITEM_BYTES} bytes"),
])  # fmt: skip
def test_an_item_may_have_so_many_bytes_and_alone_pays_for_more(
    intake: Intake, more: int, status: int, text: str
) -> None:
    sent = b"[%b,%b,%b]" % (case_of(ITEM_BYTES + more), json.dumps(a_case(2)).encode(), case_of(ITEM_BYTES))
    response = answered(intake, Sent(path="/care-cases-batch?validateOnly=true", body=sent))
    outcomes = [(item["id"][0]["value"], item["status"], item["body"]) for item in response.json()["data"]]
    assert outcomes == [(1, status, text), (2, 200, "Valid"), (1, 200, "Valid")]


def test_so_many_items_are_validated_at_once_and_no_more(servers: Services) -> None:
    with an_intake(servers.redis_url, "validate:") as intake:
        for count, status in ((20_000, 207), (20_001, 413)):
            sent = b"[%b]" % b",".join([b"0"] * count)
            response = answered(intake, Sent(path="/care-cases-batch?validateOnly=true", body=sent))
            assert response.status_code == status
        assert response.json()["error"]["type"] == "urn:carecase:problem:too-many-items"
        words = "validateOnly takes at most 20000 items. Send fewer, or the batch itself."
        assert response.json()["error"]["detail"] == words


@pytest.mark.parametrize(("wait", "honoured"), [(WAIT_S - 1, WAIT_S - 1), (WAIT_S, WAIT_S), (WAIT_S + 1, WAIT_S)])
def test_a_long_poll_takes_no_longer_than_configured_and_says_so(intake: Intake, wait: int, honoured: int) -> None:
    job_id = intake.send()
    intake.finish(job_id)
    with intake.client(prefer=f"wait={wait}") as client:
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result"):
            assert client.get(path).headers["preference-applied"] == f"wait={honoured}"


def test_a_client_has_its_burst_and_not_one_request_more(servers: Services) -> None:
    rate = {"rate_per_second": 0.001, "rate_burst": 3}
    with (
        an_intake(servers.redis_url, "burst:", intake=rate) as intake,
        intake.client() as client,
        intake.client("bob") as other,
    ):
        assert [client.get("/jobs").status_code for _ in range(3)] == [200, 200, 200]
        refused = client.get("/jobs")
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "urn:carecase:problem:rate-exceeded")
        assert 900 < int(refused.headers["retry-after"]) <= 1000
        assert [other.get("/jobs").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_caller_that_is_nobody_costs_a_client_no_request(servers: Services) -> None:
    with an_intake(servers.redis_url, "nobody:", intake={"rate_per_second": 0.001, "rate_burst": 1}) as intake:
        with intake.client(authorization="Bearer wrong") as nobody:
            assert {nobody.get("/jobs").status_code for _ in range(5)} == {401}
        with intake.client() as client:
            assert [client.get("/jobs").status_code for _ in range(2)] == [200, 429]


def test_the_backlog_takes_so_many_jobs_and_bytes_of_each_database_and_no_more(servers: Services) -> None:
    with an_intake(servers.redis_url, "full0:", jobs={"max_backlog_jobs": 3}) as intake:
        for _ in range(3):
            intake.send()
        _, bytes_of_three = intake.store.workload.backlog("demo")
        refused = answered(intake, Sent())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["error"]["type"] == "urn:carecase:problem:backlog-full"
        assert "Too much accepted work is still open." in refused.json()["error"]["detail"]
        job_id = intake.send(**{"vbasoftware-database": "second"})
        assert intake.store.jobs.job(job_id).database == "second"
    for less, statuses in ((0, [202, 202, 202, 503]), (1, [202, 202, 503])):
        bounds = {"max_backlog_bytes": bytes_of_three - less}
        with an_intake(servers.redis_url, f"full1{less}:", jobs=bounds) as intake:
            assert [answered(intake, Sent()).status_code for _ in statuses] == statuses
