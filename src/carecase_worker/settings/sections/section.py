"""A part of the settings, and a setting in seconds."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def seconds_setting(name: str, default: float, text: str) -> Any:
    """Define a field in seconds, which the configuration calls NAME_seconds."""
    return Field(timedelta(seconds=default), alias=f"{name}_seconds", description=text)


class Section(BaseModel):
    """A part of the settings: frozen, and without unknown members."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True)
