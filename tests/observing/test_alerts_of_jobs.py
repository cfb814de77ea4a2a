"""Alerts of what becomes of jobs, for real: the right one fires, once, and resolves.

Where a rule looks at a quarter of an hour, ten minutes or a day, its bounds and windows are thirty times shorter.
"""

from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.observing.conftest import Alerts
from tests.observing.watch import Watch

BY_BOUNDS = ("OldestJobTooOld",)
BY_WINDOWS = (
    "FailedItemsJump",
    "carecase:items_failed:ratio_rate10m",
    "carecase:items_failed:ratio_rate1d",
)
VARIABLES = {"CARECASE_JOBS_CHUNK_ITEMS": "50"}


def test_a_job_that_goes_on_slowly_is_reported_once(
    system: System, watch: Watch, alerts: Alerts, first_key: int
) -> None:
    """Each chunk takes a second, until somebody got the alert."""
    system.execute("CREATE TABLE slowness AS SELECT 1.0::float8 AS seconds")
    system.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep((SELECT seconds FROM slowness)); RETURN NULL; END $$"
    )
    system.execute("CREATE TRIGGER slow AFTER INSERT ON care_case EXECUTE FUNCTION slow()")
    try:
        job = system.send([a_case(first_key + n) for n in range(50 * 400)])
        watch.waits_for("firing", "OldestJobTooOld", "demo")
        eventually(lambda: (going := system.job(job)) and going["state"] == "running", what="the job goes on")
    finally:
        system.execute("UPDATE slowness SET seconds = 0")
    assert system.final(job)["created"] == 50 * 400
    alerts.once(("OldestJobTooOld", "demo"))
    system.execute("DROP TRIGGER slow ON care_case")


def test_items_that_fail_all_at_once_are_reported_once(
    system: System, watch: Watch, alerts: Alerts, first_key: int
) -> None:
    """The day before, as it is here, had nine thousand items that did not fail, and one that did.

    Then fifty fail, in one chunk: the condition lasts as long as the window, many times longer than `for`.
    """
    system.final(system.send([{"case_Key": first_key, "case_ID": 5}]))
    system.final(system.send([a_case(first_key + n) for n in range(9000)]))
    idle = "sum(increase(carecase_items_total[20s])) == 0"
    past = "carecase:items_failed:ratio_rate1d offset 20s < 0.01"
    eventually(lambda: watch.query(idle) and watch.query(past), what="Prometheus knows the share of the day before")
    system.final(system.send([{"case_Key": first_key + n, "case_ID": 5} for n in range(50)]))
    watch.waits_for("firing", "FailedItemsJump", "demo")
    alerts.once(("FailedItemsJump", "demo"))
