"""The pages of a worker's own server, as probes read them."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from carecase_worker.worker.health.server import HealthPages
from carecase_worker.worker.health.signs import Health


def pages(health: Health = Health.WELL, **checks: str) -> HealthPages:
    monitor: Any = SimpleNamespace(health=lambda: health, checks=lambda: checks)
    return HealthPages(monitor, lambda: b"metrics of now")


@pytest.mark.parametrize("health", Health)
def test_a_worker_is_to_be_restarted_only_if_it_is_stuck(health: Health) -> None:
    status, kind, body = pages(health).answer("/livez")
    is_well = health is not Health.STUCK
    assert (status, kind) == (200 if is_well else 503, "application/json")
    assert json.loads(body) == {"status": "ok" if is_well else "stuck", "text": health.value}
    status, kind, body = pages(health).answer("/check")
    assert (status, body) == (200 if is_well else 503, f"{health.value}\n".encode())


def test_a_worker_is_ready_once_all_that_it_needs_is_there() -> None:
    status, _, body = pages(broker="ok", redis="ok").answer("/readyz?verbose")
    assert (status, json.loads(body)) == (200, {"status": "ok", "checks": {"broker": "ok", "redis": "ok"}})
    status, _, body = pages(broker="ok", redis="has not answered for 16 s").answer("/readyz")
    assert (status, json.loads(body)["status"]) == (503, "not ready")
    assert json.loads(body)["checks"] == {"broker": "ok", "redis": "has not answered for 16 s"}


def test_metrics_are_those_of_now_and_another_path_names_the_paths() -> None:
    assert pages().answer("/metrics") == (200, "text/plain; version=0.0.4; charset=utf-8", b"metrics of now")
    status, _, body = pages().answer("/")
    assert (status, json.loads(body)["paths"]) == (404, "/livez /readyz /metrics")
