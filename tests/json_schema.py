"""The validators of JSON Schema and of OpenAPI.

They are imported by the first test that needs one: that takes a second, which every process would spend on collecting.
"""

from importlib import import_module
from typing import Any


def validate(instance: Any, schema: Any) -> None:
    """Hold a value to a schema. Raises jsonschema.ValidationError."""
    import_module("jsonschema").validate(instance, schema)


def validate_openapi(document: Any) -> None:
    """Hold a description to the specification of OpenAPI. Raises an error of openapi_spec_validator."""
    import_module("openapi_spec_validator").validate(document)
