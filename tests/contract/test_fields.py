"""The field table, and all that is not made from it, hold what the contract's own table says."""

import csv
from pathlib import Path

from tests.builders import a_case
from tests.integration.targets.conformance import FULL

from carecase_worker.cases.care_case import FIELDS, CareCase
from carecase_worker.targets.schema.drafting import lacking

CONTRACT = list(csv.DictReader((Path(__file__).parent / "care_case_fields.csv").open()))


def test_the_field_table_is_the_contracts() -> None:
    table = [
        {
            "field": field.name,
            "type": field.type.value,
            "required": "yes" if field.required else "no",
            "nullable": "yes" if field.nullable else "no",
            "max_length": str(field.max_length or ""),
            "description": field.description,
        }
        for field in FIELDS
    ]
    assert table == CONTRACT


def test_the_model_has_the_fields_of_the_table_in_its_order() -> None:
    assert list(CareCase.model_fields) == [row["field"] for row in CONTRACT]
    required = {name for name, field in CareCase.model_fields.items() if field.is_required()}
    assert required == {row["field"] for row in CONTRACT if row["required"] == "yes"}


def test_the_full_case_of_the_conformance_suite_has_a_value_for_every_field() -> None:
    full = a_case(**FULL)
    assert set(full) == {row["field"] for row in CONTRACT}
    assert [name for name, value in full.items() if value is None] == []


def test_the_newest_revision_has_a_column_for_every_field() -> None:
    assert lacking() == [], "run: carecase db revision MESSAGE"
