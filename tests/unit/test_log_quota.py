"""What nobody known can have written into the log."""

from structlog.testing import capture_logs

from carecase_worker.intake.limits.log_quota import LogQuota


def test_of_a_second_so_many_lines_are_written_and_the_others_are_counted() -> None:
    moment = 100.0
    quota = LogQuota(2, lambda: moment)
    with capture_logs() as logs:
        taken = []
        for later in (0.0, 0.5, 0.25, 0.2, 0.05, 0.0, 0.0, 1.0, 0.5, 1.5):
            moment += later
            taken.append(quota.takes())
    text = "requests of unknown callers are not in the log"
    assert taken == [True, True, False, False, True, True, False, True, True, True]
    assert logs == [{"event": text, "count": count, "log_level": "warning"} for count in (2, 1)]
    assert [(one.name, one.value, one.counter) for one in quota()] == [("carecase_log_lines_left_out", 3, True)]
