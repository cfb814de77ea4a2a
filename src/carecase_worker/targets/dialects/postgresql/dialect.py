"""PostgreSQL as a target, by psycopg."""

from sqlalchemy.dialects.postgresql import insert

from carecase_worker.targets.dialects.dialect import Connecting, Dialect, SchemaAccess, Writing
from carecase_worker.targets.dialects.on_conflict import upsert_of_no_case
from carecase_worker.targets.dialects.postgresql import limits, schema, session
from carecase_worker.targets.dialects.postgresql.constraints import CONSTRAINTS
from carecase_worker.targets.dialects.postgresql.errors import ERRORS
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert

POSTGRESQL = Dialect(
    name="postgresql",
    connecting=Connecting(
        driver="postgresql+psycopg",
        arguments=session.engine_arguments,
        set_up=session.set_up,
        unknown_parameters=session.unknown_parameters,
        library="libpq",
    ),
    errors=ERRORS,
    constraints=CONSTRAINTS,
    writing=Writing(
        upsert=PostgresUpsert(),
        upsert_of_no_case=upsert_of_no_case(insert),
        limit_statements=limits.limit_statements,
        check_constraints_at_once=limits.check_constraints_at_once,
        lift_deadline=limits.lift_deadline,
        lock_codes=frozenset({limits.LOCK_NOT_AVAILABLE}),
        may_have_waited_for_us=limits.may_have_waited_for_us,
    ),
    schema=SchemaAccess(
        begin_migration=schema.wait_for_turn,
        begin_comparison=schema.work_in_first_schema_only,
        may_read_revision=schema.may_read_revision,
        create_database=schema.create_database,
    ),
)
