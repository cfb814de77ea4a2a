"""Settings of Celery whose defaults have bitten: what each is for, since a sweep hides most of what goes wrong."""

import pytest

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.settings.model import Settings

DATABASE = {"url": "sqlite:///nowhere"}

PROMISES: dict[str, dict[str, object]] = {
    "a notification comes again if its process dies": {"task_acks_late": True, "task_reject_on_worker_lost": True},
    "a process has one notification at a time": {"worker_prefetch_multiplier": 1},
    "a failed task is not delivered for ever": {"task_acks_on_failure_or_timeout": True},
    "no result is stored": {"result_backend": None, "task_ignore_result": True},
    "nothing that can run code is read": {"accept_content": ["json"], "task_serializer": "json"},
    "nobody stops a worker by a message": {"worker_enable_remote_control": False},
    "a message makes no queue": {"task_create_missing_queues": False},
    "a broker that is away is awaited without end": {
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "broker_channel_error_retry": True,
    },
    "a broken connection stops no work": {"worker_cancel_long_running_tasks_on_connection_loss": False},
    "a chunk has its time before it is interrupted, and also at the end": {
        "task_soft_time_limit": 20.0,
        "task_time_limit": 23.0,
        "worker_soft_shutdown_timeout": 21.0,
    },
    "a process may take its time to start": {"worker_proc_alive_timeout": 60},
}


@pytest.mark.parametrize("promise", PROMISES)
def test_celery_has_the_settings_of_each_promise(promise: str) -> None:
    settings = Settings.model_validate(
        {
            "redis": {"url": "redis://127.0.0.1:1/0"},
            "databases": {"demo": DATABASE},
            "worker": {"chunk_deadline_seconds": 20},
            "jobs": {"lease_seconds": 40},
        }
    )
    conf = celery_app(settings).conf
    assert {name: conf[name] for name in PROMISES[promise]} == PROMISES[promise]
