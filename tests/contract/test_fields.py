"""The field table, the published schema and the database hold what the contract's own table says."""

import csv
from pathlib import Path

from carecase_worker.cases.care_case import FIELDS, CareCase

CONTRACT = list(csv.DictReader((Path(__file__).parent / "care_case_fields.csv").open()))


def test_the_field_table_is_the_contracts() -> None:
    held = [
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
    assert held == CONTRACT


def test_the_model_has_the_fields_of_the_table_in_its_order() -> None:
    assert list(CareCase.model_fields) == [row["field"] for row in CONTRACT]
    required = {name for name, field in CareCase.model_fields.items() if field.is_required()}
    assert required == {row["field"] for row in CONTRACT if row["required"] == "yes"}
