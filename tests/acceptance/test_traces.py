"""A batch is followed through a trace: the request, its admission, its chunks with their stages, its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.system import System, running
from tests.builders import a_case
from tests.collector import Collector, a_traceparent, collecting

TRACED = """
[intake]
rate_per_second = 0
refusal_hold_seconds = 0.001
[jobs]
chunk_items = 10
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[System]:
    """A system that sends its spans to a collector."""
    place = tmp_path_factory.mktemp("traced")
    (place / "traced.toml").write_text(TRACED)
    told = {
        "CARECASE_TRACING_ENDPOINT": collector.url,
        "CARECASE_TRACING_HEADERS": "x-tenant=blue, authorization=Basic%20abc==",
    }
    with running(place, "--workers", "1", "--config", "traced.toml", **told) as started:
        yield started


def test_x(traced: System, collector: Collector, first_key: int) -> None:
    sent = a_traceparent(1)
    cases = [a_case(first_key + number) for number in range(25)]
    job_id = traced.send(cases, traceparent=str(sent))
    traced.final(job_id)
    collector.awaited("job", job_id=job_id)
    for span in collector.spans:
        print(span)
    print(collector.headers[0])
    print(traced.logs()[-3000:])
