"""Metrics as Prometheus scrapes them, whole."""

import re
from itertools import pairwise

import pytest

from carecase_worker.telemetry import HistogramSample, Metrics, MetricSample, exposition

READINGS = [
    MetricSample("carecase_open", "Open chunks", 3, {"database": "a", "state": "due"}),
    MetricSample("carecase_done", "Items done", 7, {}, counter=True),
    MetricSample("carecase_open", "Open chunks", 0.5, {"database": "b", "state": "due"}),
]
WHOLE = """\
# HELP carecase_http_requests_total Requests answered
# TYPE carecase_http_requests_total counter
carecase_http_requests_total{method="GET",route="/jobs/{job_id}",status="404"} 1.0
carecase_http_requests_total{method="PUT",route="/care-cases-batch",status="202"} 2.0
# HELP carecase_http_request_seconds Time to answer
# TYPE carecase_http_request_seconds histogram
carecase_http_request_seconds_count{route="/jobs/{job_id}"} 1.0
carecase_http_request_seconds_sum{route="/jobs/{job_id}"} 0.5
carecase_http_request_seconds_count{route="/care-cases-batch"} 2.0
carecase_http_request_seconds_sum{route="/care-cases-batch"} 0.75
# HELP carecase_acceptance_seconds Time from the last byte of a batch until it was accepted
# TYPE carecase_acceptance_seconds histogram
carecase_acceptance_seconds_count 1.0
carecase_acceptance_seconds_sum 0.125
# HELP carecase_redis_round_trip_seconds Duration of a job store call in Redis
# TYPE carecase_redis_round_trip_seconds histogram
carecase_redis_round_trip_seconds_count{operation="admit"} 2.0
carecase_redis_round_trip_seconds_sum{operation="admit"} 0.75
# HELP carecase_open Open chunks
# TYPE carecase_open gauge
carecase_open{database="a",state="due"} 3.0
carecase_open{database="b",state="due"} 0.5
# HELP carecase_done_total Items done
# TYPE carecase_done_total counter
carecase_done_total 7.0
"""


def test_requests_and_samples_are_shown_by_name_and_label() -> None:
    metrics = Metrics(lambda: READINGS)
    metrics.answered("/jobs/{job_id}", "GET", 404, 0.5)
    metrics.answered("/care-cases-batch", "PUT", 202, 0.25)
    metrics.answered("/care-cases-batch", "PUT", 202, 0.5)
    metrics.accepted(0.125)
    metrics.round_trip("admit", 0.25)
    metrics.round_trip("admit", 0.5)
    lines = [
        line for line in metrics.render().decode().splitlines() if "_bucket" not in line and "_created" not in line
    ]
    assert sorted(lines) == sorted(WHOLE.splitlines())


@pytest.mark.parametrize("name", ["carecase_acceptance_seconds", "carecase_redis_round_trip_seconds"])
def test_short_durations_are_told_apart_from_a_tenth_of_a_millisecond_to_ten_seconds(name: str) -> None:
    metrics = Metrics(lambda: [])
    metrics.accepted(0.1)
    metrics.round_trip("admit", 0.1)
    output = metrics.render().decode()
    bounds = sorted(map(float, re.findall(rf'^{name}_bucket{{.*?le="([^"]+)"', output, re.MULTILINE)))
    assert (bounds[0], bounds[-2], bounds[-1]) == (0.0001, 10.0, float("inf"))
    assert max(upper / lower for lower, upper in pairwise(bounds[:-1])) <= 2.5, "an objective lies between two"


def test_readings_are_read_anew_at_each_scrape() -> None:
    samples = [READINGS[1]]
    metrics = Metrics(lambda: samples)
    assert b"carecase_done_total 7.0" in metrics.render()
    samples[:] = []
    assert b"carecase_done" not in metrics.render()


def test_a_histogram_has_counts_that_add_up() -> None:
    buckets = [(0.005, 2), (1.0, 0), (float("inf"), 3)]
    exposed = exposition(lambda: [HistogramSample("carecase_age_seconds", "Ages", buckets, 12.5, {"database": "a"})])
    assert exposed.decode().splitlines() == [
        "# HELP carecase_age_seconds Ages",
        "# TYPE carecase_age_seconds histogram",
        'carecase_age_seconds_bucket{database="a",le="0.005"} 2.0',
        'carecase_age_seconds_bucket{database="a",le="1.0"} 2.0',
        'carecase_age_seconds_bucket{database="a",le="+Inf"} 5.0',
        'carecase_age_seconds_count{database="a"} 5.0',
        'carecase_age_seconds_sum{database="a"} 12.5',
    ]
