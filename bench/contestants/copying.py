"""COPY to a temporary table, then merge."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.cases import chunks_of_rows
from carecase_worker.cases.care_case import KEY
from carecase_worker.targets.tables import CARE_CASE


def copy_and_merge(dsn: str, path: Path) -> Callable[[], None]:
    """Copy and merge a thousand rows, a transaction each."""
    keys = [column.key for column in CARE_CASE.c]
    columns = ", ".join(column.name for column in CARE_CASE.c)
    key = CARE_CASE.c[KEY].name
    sets = ", ".join(f"{column.name} = excluded.{column.name}" for column in CARE_CASE.c if column.name != key)
    merge = f"INSERT INTO care_case SELECT * FROM sent ORDER BY {key} ON CONFLICT ({key}) DO UPDATE SET {sets}"
    chunks = [[tuple(row[name] for name in keys) for row in rows] for rows in chunks_of_rows(path)]
    connection = psycopg.connect(dsn)
    connection.execute("CREATE TEMPORARY TABLE sent (LIKE care_case) ON COMMIT DELETE ROWS")
    connection.commit()

    def run() -> None:
        for rows in chunks:
            with connection.cursor() as cursor:
                with cursor.copy(f"COPY sent ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(merge, prepare=True)
            connection.commit()

    return run
