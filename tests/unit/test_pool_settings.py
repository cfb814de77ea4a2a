"""A pool process works by the settings: its seals, and how long a database may be away and a search may take."""

from datetime import timedelta

import pytest

from carecase_worker.batches.binding import Binding
from carecase_worker.errors import PayloadUnreadable
from carecase_worker.settings.loading import load
from carecase_worker.worker.attempts.attempt import Applier
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.processes import pool_process

JOB = Binding("01a21195-5341-714a-a2f7-f52d649a206b", "ann", "her token", "demo", 5, 1, 1, False)
KEYS = f"k1:{'A' * 43}="


def applier_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Applier:
    monkeypatch.setattr(pool_process, "let_go_of_sockets", lambda: None)  # this process has no parent's sockets
    settings = load(environment={f"CARECASE_{name}": value for name, value in variables.items()})
    process = pool_process.PoolProcess(settings, metrics_of(settings))
    process.start()
    assert process.applier is not None
    return process.applier


def test_an_unsealed_job_is_applied_only_if_the_settings_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PayloadUnreadable):
        applier_with(monkeypatch, ENCRYPTION_KEYS=KEYS).seals.opened("", JOB)
    assert applier_with(monkeypatch, ENCRYPTION_KEYS=KEYS, ENCRYPTION_REQUIRED="false").seals.opened("", JOB)


def test_a_database_may_be_away_for_as_long_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert applier_with(monkeypatch, JOBS_RETRY_DEADLINE_SECONDS="7").retry_deadline == timedelta(seconds=7)


def test_poison_items_are_searched_for_in_half_of_an_attempts_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half is enough to report what was found before the attempt is interrupted."""
    assert applier_with(monkeypatch, WORKER_CHUNK_DEADLINE_SECONDS="9").isolates_for == timedelta(seconds=4.5)
