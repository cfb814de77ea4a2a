"""What the fuzzer does not know by itself: how lines and rows are made and sent, and a type that ends in +json."""

import json
from typing import Any

import schemathesis
from hypothesis import strategies as st

LINES = b'{"case_Key":1,"carePlan_Key":5,"do_Not_Contact":false}\n{"case_Key":2}\n'

ROWS = b"case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n"
TEXTS = {
    "application/x-ndjson": LINES,
    "text/csv": ROWS,
    "text/tab-separated-values": ROWS.replace(b",", b"\t"),
    "text/plain": b"1 5 false\n",
}

for kind, text in TEXTS.items():
    schemathesis.openapi.media_type(kind, st.just(text))


@schemathesis.serializer(*TEXTS)
def as_lines(_: Any, value: bytes) -> bytes:
    """Lines are sent as they are."""
    return value


@schemathesis.serializer("application/vnd.care-case+json")
def as_json(_: Any, value: Any) -> bytes:
    """What `application/*+json` stands for."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Of lines and rows, which the fuzzer takes as bytes, there can be no example in JSON."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for kind in TEXTS:
                operation.get("requestBody", {}).get("content", {}).get(kind, {}).pop("example", None)
