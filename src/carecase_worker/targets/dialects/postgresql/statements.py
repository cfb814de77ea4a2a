"""SQL of the upserts of JSON arrays, made from the field table."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects import postgresql

from carecase_worker.cases.care_case import CARE_PLAN, ENTRY_DATE, ENTRY_USER, FIELDS, KEY, UPDATE_DATE, UPDATE_USER
from carecase_worker.targets.dialects.upsert import ON_CREATE_ONLY
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION


def sources(many: bool) -> dict[str, str]:
    """Return SQL for each column that a case may lack; with `many`, for a wave of several chunks.

    A missing version is the next one in the array's order, as `case_versions.versions_from` counts them (places begin
    at 1 here); a missing date or user is the chunk's.
    """

    def default(name: str, kind: str) -> str:
        if not many:
            return f"CAST(%({name})s AS {kind})"
        return f"(CAST(%({name})s AS {kind}[]))[width_bucket(sent.place, CAST(%(begin)s AS bigint[]))]"

    moment, user = default("moment", "timestamptz"), default("user", "text")
    defaults = {
        VERSION: f"{default('first_version', 'bigint')} + sent.place - 1",
        **{ENTRY_DATE: moment, ENTRY_USER: user, UPDATE_DATE: moment, UPDATE_USER: user},
    }
    return {name: f'coalesce(sent."{name}", {value})' for name, value in defaults.items()}


def rows_of(columns: Iterable[Column[Any]]) -> str:
    """Return SQL for a row of each case sent: some columns, named after their fields, and its place from 1 on."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    typed = {column.key: column.type.compile(dialect) for column in columns}
    record = ", ".join(f'"{name}" {kind}' for name, kind in typed.items())
    names = ", ".join(f'"{name}"' for name in typed)
    return f"ROWS FROM (json_to_recordset(%(cases)s) AS ({record})) WITH ORDINALITY AS sent({names}, place)"


def backdate_statement(sources: Mapping[str, str]) -> str:
    """Return the UPDATE that sets this version's entry date and user on cases that a later version created."""
    columns = CARE_CASE.c
    key, entry_date, entry_user, entry_version = (
        columns[name].name for name in (KEY, ENTRY_DATE, ENTRY_USER, ENTRY_VERSION)
    )
    return (
        f"UPDATE care_case AS stored SET {entry_date} = {sources[ENTRY_DATE]}, {entry_user} = {sources[ENTRY_USER]},"  # noqa: S608  # names of the field table only
        f" {entry_version} = {sources[VERSION]}"
        f" FROM {rows_of([columns[name] for name in (KEY, VERSION, ENTRY_DATE, ENTRY_USER)])}"
        f' WHERE stored.{key} = sent."{KEY}" AND stored.{entry_version} > {sources[VERSION]}'
    )


def upsert_statement(guard_care_plan: bool, sort: bool, defaulted: Mapping[str, str]) -> str:
    """Return the upsert of a JSON array; with `sort`, it writes the cases in key order, not in that of the array."""
    columns = {column.key: column for column in CARE_CASE.c if column.key != ENTRY_VERSION}
    sources = {name: f'"{name}"' for name in columns} | dict(defaulted)
    into = ", ".join([*(column.name for column in columns.values()), CARE_CASE.c[ENTRY_VERSION].name])
    key = CARE_CASE.c[KEY].name
    order = f' ORDER BY "{KEY}"' if sort else ""
    return (
        f"WITH written AS (INSERT INTO care_case AS stored ({into})"  # noqa: S608  # names of the field table only
        f" SELECT {', '.join([*sources.values(), sources[VERSION]])} FROM {rows_of(columns.values())}"
        f"{order}"
        f" {on_conflict(guard_care_plan)}"
        f" RETURNING {key} AS case_key, {ENTRY_VERSION} = {VERSION} AS created)"
        " SELECT array_agg(case_key) FILTER (WHERE created), array_agg(case_key) FILTER (WHERE NOT created)"
        " FROM written"
    )


def on_conflict(guard_care_plan: bool) -> str:
    """Return the ON CONFLICT clause: replace the stored case, unless it is newer or the care plan guard protects it."""
    key, care_plan = CARE_CASE.c[KEY].name, CARE_CASE.c[CARE_PLAN].name
    guard = f" AND stored.{care_plan} = excluded.{care_plan}" if guard_care_plan else ""
    names = [column.name for column in CARE_CASE.c if column.key not in ON_CREATE_ONLY]
    values = ", ".join(f"{name} = excluded.{name}" for name in names)
    return f"ON CONFLICT ({key}) DO UPDATE SET {values} WHERE stored.{VERSION} < excluded.{VERSION}{guard}"


SENT, KNOWN, RESULTS = "carecase.turns", "carecase.known", "carecase.results"
"""Settings of a transaction that hand cases to `turns_block`, and its results back: a block has no parameters."""


def turns_block(guard_care_plan: bool, compare: bool, past: bool) -> str:
    """Return a PL/pgSQL block that writes the cases of a JSON array one after the other, with a result for each.

    The result is whether the case was created; NULL if it was left out, with the stored version and care plan.
    With `compare`, it also has the fields that each update changed, after all triggers. With `past`, each case has a
    savepoint, and a refused one has its fault as result; after one whose hash is not in KNOWN the block ends.
    """
    columns = {column.key: column.name for column in CARE_CASE.c}
    sent = {name: f'one."{VERSION if name == ENTRY_VERSION else name}"' for name in columns}
    rows = rows_of([column for column in CARE_CASE.c if column.key != ENTRY_VERSION])
    of_key = f"FROM care_case AS stored WHERE stored.{columns[KEY]} = {sent[KEY]}"
    entered = ", ".join(f"{columns[name]} = {sent[name]}" for name in (ENTRY_DATE, ENTRY_USER, ENTRY_VERSION))
    was, became = (f"SELECT * INTO {record} {of_key}" for record in ("was", "became"))
    changed = ", ".join(
        f"CASE WHEN was.{field.column} IS DISTINCT FROM became.{field.column} THEN '{field.name}' END"
        for field in FIELDS
    )
    look, compared = (
        (f"{was} FOR NO KEY UPDATE; was_there := FOUND;", _IF_UPDATED.format(became, changed)) if compare else ("", "")
    )
    known, begin, refused, end = _PAST if past else ("", "", "", "")
    return f"""
DO $turns$
DECLARE
  one record; was care_case; became care_case; was_there boolean;
  is_new boolean; is_new_of boolean[]; changes text[]; changes_of json[];
  the_version bigint; version_of bigint[]; the_plan integer; plan_of integer[]; the_entry bigint;
  fault json; fault_of json[]; {known}
BEGIN
  FOR one IN SELECT sent.* FROM {rows.replace("%(cases)s", f"current_setting('{SENT}')::json")} ORDER BY place LOOP
    the_version := NULL; the_plan := NULL; changes := NULL;
    {begin}
    {look}
    INSERT INTO care_case AS stored ({", ".join(columns.values())}) VALUES ({", ".join(sent.values())})
      {on_conflict(guard_care_plan)} RETURNING stored.{ENTRY_VERSION} = stored.{VERSION} INTO is_new;
    IF is_new IS NULL THEN
      SELECT stored.{VERSION}, stored.{columns[CARE_PLAN]}, stored.{ENTRY_VERSION}
        INTO the_version, the_plan, the_entry {of_key};
      IF the_entry > {sent[VERSION]} THEN
        UPDATE care_case SET {entered} WHERE {columns[KEY]} = {sent[KEY]};
      END IF;
    END IF;
    {compared}
    {refused}
    is_new_of := is_new_of || is_new; version_of := version_of || the_version; plan_of := plan_of || the_plan;
    changes_of := changes_of || to_json(changes); fault_of := fault_of || fault;
    {end}
  END LOOP;
  PERFORM set_config('{RESULTS}', json_build_array(is_new_of, version_of, plan_of, changes_of, fault_of)::text, true);
END $turns$"""  # noqa: S608  # names of the field table only


_IF_UPDATED = "IF was_there AND NOT is_new THEN {0}; changes := array_remove(ARRAY[{1}], NULL); END IF;"

_PAST = (
    f"""the_code text; the_constraint text; the_schema text; the_table text; the_column text; the_type text;
  the_context text; the_message text; the_hash bigint;
  known bigint[] := current_setting('{KNOWN}')::bigint[];""",
    "fault := NULL; BEGIN",
    # a lock is not waited for again; a message may have values, but nothing else tells a policy's refusal from a
    # missing privilege
    """EXCEPTION
      WHEN lock_not_available THEN RAISE;
      WHEN assert_failure OR OTHERS THEN
        GET STACKED DIAGNOSTICS the_code = RETURNED_SQLSTATE, the_constraint = CONSTRAINT_NAME,
          the_schema = SCHEMA_NAME, the_table = TABLE_NAME, the_column = COLUMN_NAME, the_type = PG_DATATYPE_NAME,
          the_context = PG_EXCEPTION_CONTEXT, the_message = MESSAGE_TEXT;
        fault := json_build_array(the_constraint, the_schema, the_table, the_column, the_type);
        the_message := CASE the_code WHEN '42501' THEN the_message END;
        the_hash := hashtextextended(json_build_array(the_code, fault, the_context, the_message)::text, 0);
        fault := json_build_array(the_code, fault, the_hash);
    END;""",
    "EXIT WHEN fault IS NOT NULL AND the_hash <> ALL (known);",
)
"""The parts of a block that passes over cases: its variables, before a case is written, after that, and at the end."""
