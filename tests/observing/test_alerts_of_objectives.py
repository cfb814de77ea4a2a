"""Alerts of the objectives, for real: the backlog is full, and jobs are final too late; then all is well again.

The five minutes that a job may take are ten seconds, and the windows are thirty times shorter: half an hour is a
minute, six hours are twelve. The page for a fast burn begins and ends here; the ticket for a slow one, which looks at
three days, is `promtool`'s.
"""

import time

from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.observing.watch import BACKLOG, Watch
from tests.pausing import frozen

BY_BOUNDS = (
    *(f"carecase:jobs_late:ratio_rate{window}" for window in ("5m", "30m", "1h", "6h", "3d")),
    *(f"carecase:jobs_late:increase{window}" for window in ("1h", "6h", "3d")),
)
BY_WINDOWS = (*BY_BOUNDS, *(name.replace("jobs_late", "batches_refused_or_late") for name in BY_BOUNDS))
BURNS = ("AcceptanceErrorBudgetBurn", "TimeToFinalErrorBudgetBurn")


def test_refused_batches_and_late_jobs_use_up_the_budgets_and_each_is_reported_once(
    system: System, watch: Watch, first_key: int
) -> None:
    began = time.time()
    system.final(system.send([a_case(first_key)]))
    eventually(lambda: watch.query('carecase_job_seconds_count{database="demo"} > 0'), what="there is one in time")
    with frozen(system.pid("postgresql")), system.client() as client:
        jobs = [system.send([a_case(first_key + n)]) for n in range(BACKLOG)]

        def is_told() -> bool:
            """Send a batch that is refused; Prometheus must see that there are more of them."""
            response = client.put("/care-cases-batch", json=[a_case(first_key)])
            assert (response.status_code, response.json()["error"]["type"]) == (
                503,
                "urn:carecase:problem:backlog-full",
            )
            return "AcceptanceErrorBudgetBurn" in {one.alert for one in watch.messages}

        eventually(is_told, what="the budget of acceptance is told of")
        eventually(
            lambda: watch.query('min(carecase_oldest_job_age_seconds{database="demo"}) > 15'), what="all are late"
        )
    for job in jobs:
        system.final(job)
    watch.waits_for("firing", "TimeToFinalErrorBudgetBurn")
    for alert in BURNS:
        watch.waits_for("resolved", alert)
        pages = [one.status for one in watch.messages if (one.alert, one.severity) == (alert, "critical")]
        # a scrape that failed may have ended it for a moment
        assert pages == ["firing", "resolved"] * (len(pages) // 2), alert
        assert 1 <= len(pages) // 2 <= 1 + watch.breaks(time.time() - began), (alert, pages)
