"""A collector that does not answer costs spans, and nothing else; what waits is sent at the end."""

import json
import re
import time
from pathlib import Path

from tests.acceptance.system import System, eventually, running
from tests.builders import a_case
from tests.collector import a_traceparent, collecting
from tests.plain_http import http_get
from tests.ports import free_port

MOST = 16
PROCESSES = 3
"""Those with spans: an intake, two that apply chunks."""


def lost(lines: list[str]) -> float:
    """Spans that are lost, by what Prometheus would read."""
    (line,) = (line for line in lines if line.startswith("carecase_spans_lost_total "))
    return float(line.split()[1])


def logged(system: System, event: str) -> list[dict[str, object]]:
    read = (json.loads(line) for line in system.logs().splitlines() if line.startswith('{"'))
    return [line for line in read if line.get("event") == event]


def test_no_batch_waits_for_a_collector_and_the_end_sends_what_is_left(tmp_path: Path, first_key: int) -> None:
    port, began = free_port(), time.monotonic()
    with collecting() as collector:
        variables = {
            "CARECASE_WORKER_PORT": str(port),
            "CARECASE_TRACING_ENDPOINT": collector.url,
            "CARECASE_TRACING_MAX_SPANS": str(MOST),
        }
        with running(tmp_path, "--workers", "1", **variables) as system:
            collector.answers.clear()
            jobs = [system.send([a_case(first_key + number)]) for number in range(MOST)]
            states = {system.final(job_id)["state"] for job_id in jobs}
            eventually(lambda: lost(system.metrics()) > 0, what="spans of the intake are lost")
            pages = f"http://127.0.0.1:{port}/metrics"
            eventually(lambda: lost(http_get(pages).text.splitlines()) > 0, what="spans of the worker are lost")
            assert states == {"completed"}
            assert collector.spans == []
            chunks = logged(system, "chunk")
            assert {line["verdict"] for line in chunks if line["items"]} == {"kept"}
            assert not logged(system, "chunk left for the sweep")
            told_lost = eventually(lambda: logged(system, "spans lost"), what="the log tells of it")
            minutes = (time.monotonic() - began) // 60
            assert len(told_lost) <= PROCESSES * (1 + minutes), "once a minute"
            assert all(int(str(line["count"])) > 0 for line in told_lost)
            own = [line for line in system.logs().splitlines() if re.search("export|Queue full|Transient", line)]
            assert own == [], "the exporter's own lines would quote its URL at each attempt"

            collector.answers.set()
            sent = a_traceparent(2)

            def arrived() -> bool:
                """Send until a whole trace has room: the queues may still be full."""
                job_id = system.send([a_case(first_key)], traceparent=str(sent))
                system.final(job_id)
                return any(span.name == "job" for span in collector.of_trace(sent.trace_id))

            eventually(arrived, what="spans arrive again")
            last = a_traceparent(3)
            job_id = system.send([a_case(first_key)], traceparent=str(last))
            system.final(job_id)
        names = {span.name for span in collector.of_trace(last.trace_id)}
        assert {"PUT /care-cases-batch", "admit", "chunk", "complete", "job"} <= names, (
            "both processes have sent theirs"
        )
