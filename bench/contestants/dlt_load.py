"""dlt (data load tool): merge into PostgreSQL by its upsert strategy."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from bench.cases import plain_cases

TABLE = "dlt_bench.care_case"


def load_cases(dsn: str, path: Path, place: Path) -> Callable[[], None]:
    """Load all cases in one run of a pipeline, into the table that dlt made of a first case."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    dlt = importlib.import_module("dlt")  # there only where the bench's own dependencies are
    cases = plain_cases(path)
    dataset, table = TABLE.split(".")
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(place),
        destination=dlt.destinations.postgres(credentials=dsn),
        dataset_name=dataset,
    )

    def load(some: list[dict[str, object]]) -> None:
        pipeline.run(
            some,
            table_name=table,
            primary_key="case_Key",
            loader_file_format="csv",  # faster than its default here
            write_disposition={"disposition": "merge", "strategy": "upsert"},
        ).raise_on_failed_jobs()

    load(cases[:100])
    with pipeline.sql_client() as client:
        client.execute_sql(f"DELETE FROM {TABLE}")
    return lambda: load(cases)
