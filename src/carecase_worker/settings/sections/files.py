"""Settings of a mapping: the columns of a partner's files, and the formats of their cells."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from carecase_worker.settings.sections.section import Section

Encoding = Literal[
    "utf-8",
    "utf-16",
    "windows-1250",
    "windows-1252",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "cp437",
    "cp850",
    "mac-roman",
    "shift-jis",
]


def _delimiter(given: str) -> str:
    if len(given) != 1 or given in '"\r\n\0 ' or given.isalnum():
        raise ValueError('must be one character other than a letter, digit, blank or quote, as "," or "\\t"')
    return given


class FileSettings(Section):
    """A mapping: the columns of a client's files, by the mapping's name."""

    columns: Mapping[str, str] | tuple[str, ...] = Field(
        {},
        description="Field of each column by its name in the header row, or a list of fields in order if there is none",
    )
    other_columns: Literal["refuse", "ignore"] = Field(
        "refuse", description="What to do with columns that the mapping does not name"
    )
    fixed: Mapping[str, str] = Field(
        {}, description='Instead of columns, the places of each field in a line of fixed width, from 1, as "1-10"'
    )
    delimiter: Annotated[str, AfterValidator(_delimiter)] = Field(",", description="Character between two cells")
    encoding: Encoding = Field("utf-8", description="Encoding of the file")
    skipped_lines: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Lines to skip before the header row, or before the first row if there is no header row"
    )
    skipped_last_lines: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="Rows to skip at the end, such as totals"
    )
    trim: StrictBool = Field(False, description="Remove blanks around texts")
    null_tokens: tuple[str, ...] = Field(("",), description="Cells that mean null")
    true_tokens: tuple[str, ...] = Field(("true",), description="Cells that mean true, in upper or lower case")
    false_tokens: tuple[str, ...] = Field(("false",), description="Cells that mean false, in upper or lower case")
    date_formats: tuple[str, ...] = Field(
        (), description="Forms of date-times beside ISO 8601, of %Y %y %m %d %H %I %M %S %f %p %b and %z"
    )
    decimal: Literal[".", ","] = Field(".", description="Decimal separator of numbers")
    constants: Mapping[str, StrictBool | StrictInt | StrictFloat | StrictStr] = Field(
        {}, description="Fields that have the same value in each row"
    )
