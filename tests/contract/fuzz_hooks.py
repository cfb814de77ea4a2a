"""What the fuzzer does not know by itself: how lines of JSON are made and sent, and a type that ends in +json."""

import json
from typing import Any

import schemathesis
from hypothesis import strategies as st

LINES = b'{"case_Key":1,"carePlan_Key":5,"do_Not_Contact":false}\n{"case_Key":2}\n'

schemathesis.openapi.media_type("application/x-ndjson", st.just(LINES))


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: Any, value: bytes) -> bytes:
    """Lines are sent as they are."""
    return value


@schemathesis.serializer("application/vnd.care-case+json")
def as_json(_: Any, value: Any) -> bytes:
    """What `application/*+json` stands for."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Of lines, which the fuzzer takes as bytes, there can be no example in JSON."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            operation.get("requestBody", {}).get("content", {}).get("application/x-ndjson", {}).pop("example", None)
