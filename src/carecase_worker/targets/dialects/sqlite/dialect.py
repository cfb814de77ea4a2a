"""SQLite as a target: one file, which has one writer at a time."""

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from carecase_worker.targets.dialects.dialect import Connecting, Dialect, SchemaAccess, Writing
from carecase_worker.targets.dialects.on_conflict import upsert_of_no_case
from carecase_worker.targets.dialects.sqlite import file, session
from carecase_worker.targets.dialects.sqlite.constraints import CONSTRAINTS
from carecase_worker.targets.dialects.sqlite.errors import ERRORS
from carecase_worker.targets.dialects.sqlite.upsert import SqliteUpsert


def _touch(connection: Connection) -> None:
    """Write an unchanged value to the file: only a write shows that it is read-only."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


SQLITE = Dialect(
    name="sqlite",
    connecting=Connecting(driver="sqlite", arguments=session.engine_arguments, set_up=session.set_up),
    errors=ERRORS,
    constraints=CONSTRAINTS,
    writing=Writing(
        upsert=SqliteUpsert(),
        upsert_of_no_case=upsert_of_no_case(insert),
        limit_statements=file.limit_statements,
        begin_attempt=file.limit_statements,
        survives_a_deadline=False,
        has_lost_transaction=session.has_lost_transaction,
        is_replaced=file.is_replaced,
    ),
    schema=SchemaAccess(begin_comparison=_touch, make=file.make_file, stand_in=file.stand_in),
)
