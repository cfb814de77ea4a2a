"""Refusals of parameters that violate the published description; each names the allowed values."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.settings.kinds import listed
from carecase_worker.settings.places import closest


def require_known_parameters(request: Request) -> None:
    """Raise BatchRefused for unknown or repeated query parameters: a misspelt validateOnly would apply the batch."""
    if not request.scope["query_string"]:
        return
    known = [name for name, described in _described(request).items() if described["in"] == "query"]
    counts = Counter(name for name, _ in request.query_params.multi_items())
    unknown = [name for name in counts if name not in known]
    if unknown:
        takes = f"This path takes {listed(known, 'and')}." if known else "This path takes none."
        raise _refused(f"There is no such query parameter{_nearest(unknown[0], known)} {takes}")
    repeated = [name for name in known if counts[name] > 1]
    if repeated:
        raise _refused(f"The query parameter {repeated[0]} comes more than once. Send it once.")


def bad_parameters(request: Request, names: Iterable[str]) -> BatchRefused:
    """Make the refusal of parameters with invalid values."""
    described = _described(request)
    faults = [f"{name} {_rule(request, described[name])}" for name in dict.fromkeys(names)]
    return _refused(f"A parameter is not valid: {'; '.join(faults)}.")


def _refused(detail: str) -> BatchRefused:
    return BatchRefused(BatchFault.BAD_PARAMETER, detail)


def _described(request: Request) -> Mapping[str, Mapping[str, Any]]:
    """Return the published parameters of a request's route by their names."""
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    return {parameter["name"]: parameter for parameter in operation.get("parameters", ())}


def _rule(request: Request, parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    if "$ref" in schema:
        schema = request.app.openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return f"must be {listed(schema['enum'], 'or')}"
    match schema["type"]:
        case "boolean":
            return "must be true or false"
        case "integer":
            return f"must be an integer from {schema['minimum']} to {schema['maximum']}"
        case _:
            return f"must have {schema['minLength']} to {schema['maxLength']} characters"


def _nearest(name: str, known: list[str]) -> str:
    """Suggest the nearest known parameter; the client's own text is not repeated."""
    by_lower = {one.lower(): one for one in known}
    close = closest(name.lower()[:100], by_lower)
    return f"; did you mean {by_lower[close]}?" if close else "."
