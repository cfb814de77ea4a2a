"""The log of databases that go away and come back."""

from structlog.testing import capture_logs

from carecase_worker.errors import Cause
from carecase_worker.worker.attempts.outages import Outages

REFUSED, STARTING = Cause("refused", "nothing listens there"), Cause("starting", "is starting up")


def away(database: str, cause: Cause) -> dict[str, str]:
    return {"log_level": "warning", "event": "database is away", "database": database, "reason": cause.text}


def test_a_cause_is_reported_when_it_is_met_and_once_a_minute_while_it_stays() -> None:
    outages = Outages()
    told_at = []
    for moment in (100.0, 100.1, 159.9, 160.0, 160.1, 219.9, 220.0, 500.0):
        with capture_logs() as logs:
            outages.away("demo", REFUSED, moment)
        assert logs in ([], [away("demo", REFUSED)])
        told_at += [moment] * len(logs)
    assert told_at == [100.0, 160.0, 220.0, 500.0]


def test_another_cause_or_database_is_reported_at_once() -> None:
    outages = Outages()
    with capture_logs() as logs:
        for database, cause in (("a", REFUSED), ("a", STARTING), ("b", STARTING), ("a", STARTING), ("a", REFUSED)):
            outages.away(database, cause, 1.0)
    assert logs == [away("a", REFUSED), away("a", STARTING), away("b", STARTING), away("a", REFUSED)]


def test_a_database_that_is_back_is_reported_by_whoever_finds_it_so() -> None:
    outages = Outages()
    with capture_logs() as logs:
        outages.answered("demo", failures=0)
        outages.away("demo", REFUSED, 1.0)
        outages.answered("other", failures=0)
        outages.answered("demo", failures=3)
        outages.away("demo", REFUSED, 2.0)
        outages.answered("elsewhere", failures=1)
    back = {"log_level": "info", "event": "database is back"}
    assert logs == [
        away("demo", REFUSED),
        {**back, "database": "demo"},
        away("demo", REFUSED),
        {**back, "database": "elsewhere"},
    ]
