"""The part of the chart's values.schema.json that the settings' model defines.

    python -m tests.deployment.chart_schema

writes it anew after a change of the settings. The rest of that file is written by hand.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from carecase_worker.settings.kinds import kind_of
from carecase_worker.settings.places import NAMED, PLAIN
from carecase_worker.settings.sections.section import Section

CHART = Path(__file__).parent.parent.parent / "deploy" / "helm" / "carecase"
SCHEMA = CHART / "values.schema.json"
OF_THE_CHART = {("audit", "directory")}
"""Settings that the chart sets by itself."""
_TARGET = r"^postgresql(\+psycopg)?://"
"""A file of SQLite is no database that pods could share."""
_SOURCE = {"$ref": "#/$defs/secret"}


def defined() -> dict[str, Any]:
    """Return the definitions of settings, databases, clients and secrets."""
    settings = {section: _closed(_properties(section, model)) for section, model in PLAIN.items()}
    database = _properties("databases", NAMED["databases"])
    database["url"]["pattern"] = _TARGET
    owner = _closed({"url": {"type": "string", "pattern": _TARGET}, "password": _SOURCE}, required=["url"])
    database |= {"password": _SOURCE, "owner": owner}
    return {
        "settings": _closed(settings, required=["redis", "intake", "worker", "flower"]),
        "database": _closed(database, required=["url"]),
        "client": _closed(_properties("clients", NAMED["clients"])),
        "secrets": _closed(dict.fromkeys(sorted(secret_names()), _SOURCE)),
    }


def secret_names() -> set[str]:
    """Return the names that secrets have in the chart's values: section and setting."""
    return {
        f"{section}_{field.alias or name}"
        for section, model in PLAIN.items()
        for name, field in model.model_fields.items()
        if kind_of(field)[0] is SecretStr
    }


def _properties(section: str, model: type[Section]) -> dict[str, Any]:
    """Return the settings that may stand in the file; a URL may, as long as it has no password."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    return {
        name: {**_type(field), "description": field.description}
        for name, field in fields.items()
        if (kind_of(field)[0] is not SecretStr or "url" in name) and (section, name) not in OF_THE_CHART
    }


def _type(field: FieldInfo) -> dict[str, Any]:
    kind, metadata = kind_of(field)
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _of(get_args(kind)[0])}
    bounds = {
        word: bound.total_seconds() if isinstance(bound, timedelta) else bound
        for word, attribute in (("minimum", "ge"), ("maximum", "le"))
        for bound in (getattr(one, attribute, None) for one in metadata)
        if bound is not None
    }
    return {**_of(kind), **bounds}


def _of(kind: Any) -> dict[str, Any]:
    if words := [word for word in get_args(kind) if isinstance(word, str)]:
        return {"enum": words}
    return {"type": {int: "integer", float: "number", timedelta: "number", bool: "boolean"}.get(kind, "string")}


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """Return the schema of an object that has these members and no others."""
    needed = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **needed}


def main() -> None:
    """Write the definitions into the schema."""
    schema = json.loads(SCHEMA.read_text())
    schema["$defs"] |= defined()
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
