"""Internals of other packages that this one and its tests rely on: an upgrade that moves one fails here."""

import inspect
import re
from importlib.metadata import requires

import pytest
from celery.concurrency.asynpool import AsynPool
from celery.worker.consumer import Consumer
from flower.events import EventsState, PrometheusMetrics
from flower.views.tasks import TaskView
from hypothesis.internal.conjecture import providers
from kombu.connection import Connection
from kombu.transport.redis import Channel


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (AsynPool, "_on_soft_timeout", ["self", "job", "soft", "hard", "hub"]),
        (AsynPool, "_on_hard_timeout", ["self", "job"]),
        (Consumer, "register_with_event_loop", ["self", "hub"]),
        (Consumer, "ensure_connected", ["self", "conn"]),
        (Channel, "_brpop_read", ["self", "options"]),
        (EventsState, "event", ["self", "event"]),
        (PrometheusMetrics, "remove_workers", ["self", "worker_names"]),
        (TaskView, "format_task", ["self", "task"]),
    ],
)
def test_a_method_that_is_overridden_or_called_is_there(owner: type, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_examples_of_hypothesis_depend_on_no_imported_module_by_what_conftest_replaces() -> None:
    source = inspect.getsource(providers)
    assert " is_local_module_file(module_file)" in source
    assert not vars(providers)["is_local_module_file"](__file__)


def test_what_the_pool_reads_is_there() -> None:
    source = inspect.getsource(AsynPool)
    assert "self._fileno_to_outq = " in source
    assert "self.handle_result_event = " in source


def test_the_waits_between_attempts_to_connect_can_be_bounded() -> None:
    parameters = inspect.signature(Connection._ensure_connection).parameters
    assert {"interval_start", "interval_step", "interval_max"} <= set(parameters)


@pytest.mark.parametrize("name", ["celery", "kombu", "flower", "billiard"])
def test_each_has_an_upper_bound(name: str) -> None:
    (line,) = [line for line in requires("carecase-worker") or () if re.match(rf"{name}\b", line)]
    assert re.search(r"<\d", line)
