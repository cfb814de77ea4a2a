"""Alerts of what becomes of jobs, for real: the right one fires, and resolves.

Where a rule looks at a quarter of an hour, ten minutes or a day, its bounds and windows are as many times shorter as
its `for`. The half minute of WorkStuck is as it is deployed. A busy machine may have others fire beside it.
"""

import pytest
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.observing.watch import Message, Watch, frozen

BY_BOUNDS = (
    "OldestJobTooOld",
    "FailedItemsJump",
    "carecase:items_failed:ratio_rate10m",
    "carecase:items_failed:ratio_rate1d",
)
VARIABLES = {"CARECASE_JOBS_CHUNK_ITEMS": "50"}


@pytest.mark.usefixtures("told")
def test_work_that_nobody_takes_is_reported(system: System, watch: Watch, first_key: int) -> None:
    """The worker's main process goes on and is seen; its pool does not."""
    with frozen(*system.pool()):
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "WorkStuck", "demo")
    assert system.final(job)["created"] == 1
    watch.waits_for("resolved", "WorkStuck", "demo")


@pytest.mark.usefixtures("told")
def test_a_job_that_goes_on_slowly_is_reported(system: System, watch: Watch, first_key: int) -> None:
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
        going = system.job(job)
        assert going
        assert going["state"] == "running"
    finally:
        system.execute("UPDATE slowness SET seconds = 0")
    assert system.final(job)["created"] == 50 * 400
    watch.waits_for("resolved", "OldestJobTooOld", "demo")
    system.execute("DROP TRIGGER slow ON care_case")


def test_items_that_fail_all_at_once_are_reported(
    system: System, watch: Watch, told: list[Message], first_key: int
) -> None:
    """The day before, as it is here, had nine thousand items that did not fail, and one that did."""
    system.final(system.send([{"case_Key": first_key, "case_ID": 5}]))
    system.final(system.send([a_case(first_key + n) for n in range(9000)]))
    past = "carecase:items_failed:ratio_rate1d offset 10s < 0.01"
    eventually(lambda: watch.query(past), what="Prometheus knows the share of the day before")

    def fails() -> bool:
        system.final(system.send([{"case_Key": first_key + n, "case_ID": 5} for n in range(20)]))
        return Message("firing", "FailedItemsJump", "demo") in told

    eventually(fails, what="the jump is told of")
    watch.waits_for("resolved", "FailedItemsJump", "demo")


@pytest.mark.usefixtures("told")
def test_a_schema_that_is_behind_is_reported(system: System, watch: Watch, first_key: int) -> None:
    system.execute("ALTER TABLE care_case RENAME COLUMN case_id TO case_name")
    try:
        job = system.send([a_case(first_key)])
        watch.waits_for("firing", "SchemaBehind", "demo")
    finally:
        system.execute("ALTER TABLE care_case RENAME COLUMN case_name TO case_id")
    assert system.final(job)["created"] == 1
    watch.waits_for("resolved", "SchemaBehind", "demo")
