"""The field table of a case, and the pydantic model derived from it.

The table is the only list of fields in the package. The columns of `care_case`, the SQL, the checks and the published
description are derived from it; a test compares it with the contract's own table.
"""

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from carecase_worker.cases.date_times import DATE_TIME_PATTERN

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


class FieldType(Enum):
    """The types of fields, by the contract's names."""

    INT32 = "int32"
    DOUBLE = "double"
    STRING = "string"
    BOOLEAN = "boolean"
    DATE_TIME = "date-time"


@dataclass(frozen=True, slots=True)
class CaseField:
    """One row of the field table. `max_length` is in characters, and only strings have it."""

    name: str
    type: FieldType
    description: str
    required: bool = False
    nullable: bool = True
    max_length: int | None = None

    @property
    def column(self) -> str:
        """The column's name: the field's name in lower case, so that SQL needs no quotes."""
        return self.name.lower()


def _text(name: str, max_length: int, description: str) -> CaseField:
    return CaseField(name, FieldType.STRING, description, max_length=max_length)


def _moment(name: str, description: str, *, nullable: bool = True) -> CaseField:
    return CaseField(name, FieldType.DATE_TIME, description, nullable=nullable)


def _number(name: str, description: str, *, required: bool = False) -> CaseField:
    return CaseField(name, FieldType.INT32, description, required=required, nullable=not required)


KEY = "case_Key"
CARE_PLAN = "carePlan_Key"
ENTRY_DATE, ENTRY_USER = "entry_Date", "entry_User"
UPDATE_DATE, UPDATE_USER = "update_Date", "update_User"
USER_LENGTH = 20

FIELDS: tuple[CaseField, ...] = (
    _number(KEY, "Identifier of the case; the key an upsert matches on", required=True),
    _moment("appointment_Date", "User managed: date of the next appointment"),
    _moment("assessment_Date", "User managed: date when the case was assessed"),
    _number(CARE_PLAN, "Identifies the type of care associated with the case", required=True),
    _text("case_Assign_Type", 16, "Who or what entity the case was assigned to"),
    _moment("case_End_Date", "Day when the case ended"),
    _text("case_ID", 64, "Identifier of the case (text)"),
    _number(
        "case_Priority",
        "Priority of the case; Case Priorities are configured in Care Management Configuration",
    ),
    _text("case_Reason", 32, "Reason of the case; Case Reasons are configured in Care Management Configuration"),
    CaseField("case_Score", FieldType.DOUBLE, "User managed: used when auto-assigning cases"),
    _moment("case_Start_Date", "Day when the case began"),
    _text("case_Status", 8, "Status of the case; Case Statuses are configured in Care Management Configuration"),
    _text("division_ID", 20, "ID of the division associated with the case"),
    CaseField(
        "do_Not_Contact",
        FieldType.BOOLEAN,
        "User managed: whether not to contact the member",
        required=True,
        nullable=False,
    ),
    _moment("eligibility_Verified", "User managed: date eligibility was verified"),
    _text("eligibility_Verified_Comment", 512, "User managed: comment about the eligibility verification"),
    _text("case_Close_Reason", 32, "Identifier of the case close reason"),
    _moment(ENTRY_DATE, "Date the record was first added to the system", nullable=False),
    _text(ENTRY_USER, USER_LENGTH, "User that first added the record to the system"),
    _text("group_ID", 20, "ID of the group associated with the case"),
    _text("member_Seq", 2, "Sequential identifier of the member associated with the case"),
    _text("provider_ID", 20, "ID of the provider associated with the case"),
    _text("subscriber_ID", 9, "ID of the subscriber associated with the case"),
    _moment(UPDATE_DATE, "Date the record was last updated in the system", nullable=False),
    _text(UPDATE_USER, USER_LENGTH, "User that last updated the record in the system"),
)

FIELD = MappingProxyType({field.name: field for field in FIELDS})
DATE_TIME_FIELDS = tuple(field.name for field in FIELDS if field.type is FieldType.DATE_TIME)

_ANNOTATIONS: dict[FieldType, Any] = {
    FieldType.INT32: Annotated[int, Field(ge=INT32_MIN, le=INT32_MAX, json_schema_extra={"format": "int32"})],
    FieldType.DOUBLE: Annotated[float, Field(allow_inf_nan=False, json_schema_extra={"format": "double"})],
    FieldType.BOOLEAN: bool,
    FieldType.DATE_TIME: Annotated[
        str, Field(pattern=DATE_TIME_PATTERN, json_schema_extra={"format": "date-time", "pattern": None})
    ],
}


def _definition(field: CaseField) -> tuple[Any, Any]:
    """Return the pydantic definition of a field: its annotation, and its default with its description."""
    if field.type is FieldType.STRING:
        annotation: Any = Annotated[str, Field(max_length=field.max_length)]
    else:
        annotation = _ANNOTATIONS[field.type]
    if field.nullable:
        annotation = annotation | None
    default = ... if field.required else None
    return annotation, Field(default, description=field.description)


CareCase: type[BaseModel] = create_model(
    "CareCase",
    __config__=ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True),
    __doc__="A case of care management. A field that is left out counts as null, but for the audit fields.",
    **cast(Any, {field.name: _definition(field) for field in FIELDS}),
)
