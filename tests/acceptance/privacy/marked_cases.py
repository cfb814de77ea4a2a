"""Cases with a mark in every field: valid ones, bad ones, and bodies that are refused as a whole."""

import base64
import gzip
import json
from typing import Any

import zstandard

from carecase_worker.cases.care_case import FIELDS, FieldType

MARK = "Ozymandias"
KEY = 1_618_033_000
OTHER_SCRIPTS = "ꙮ؍"
"""A mark of two characters."""
TRIGGER = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF NEW.case_priority = 1618034013 THEN RAISE EXCEPTION 'this is %', NEW; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON care_case FOR EACH ROW EXECUTE FUNCTION refuse()",
    "CREATE UNIQUE INDEX one_reason ON care_case (case_reason)",
)


def marked(number: int, **fields: Any) -> dict[str, Any]:
    """A valid case with a mark in every field. No two share a key or a reason, unless `fields` say so."""
    case: dict[str, Any] = {}
    for place, field in enumerate(FIELDS):
        match field.type:
            case FieldType.INT32:
                case[field.name] = 1_618_034_000 + place
            case FieldType.DOUBLE:
                case[field.name] = 1618.034
            case FieldType.BOOLEAN:
                case[field.name] = True
            case FieldType.DATE_TIME:
                case[field.name] = f"1618-03-{place + 1:02d}T04:05:06Z"
            case FieldType.STRING if field.max_length == 2:
                case[field.name] = OTHER_SCRIPTS
            case FieldType.STRING:
                case[field.name] = f"{MARK}-{place}"[: field.max_length]
    return {**case, "case_Key": KEY + number, "case_Reason": f"{MARK}-{number}", "case_Priority": 7, **fields}


def marks() -> list[str]:
    """Every way in which one of the marks can be written; keys apart."""
    ways = [MARK[:8], "1618-03", "1618.034", "16180340", "this is ("]
    ways += [OTHER_SCRIPTS, json.dumps(OTHER_SCRIPTS)[1:-1], json.dumps(OTHER_SCRIPTS)[1:-1].upper()]
    return [*ways, base64.b64encode(MARK.encode()).decode()[:8]]


def bad_items(number: int) -> list[Any]:
    """Items with a mark in every field, each bad in its way."""
    whole = marked(number)
    wrong: list[Any] = [{**whole, field.name: [whole[field.name]]} for field in FIELDS]
    wrong += [{**whole, field.name: f"{MARK}" * 60} for field in FIELDS if field.name != "case_Key"]
    wrong += [{MARK: MARK}, MARK, [MARK], {"case_Key": MARK}, {**whole, MARK: {MARK: MARK}, "case_ID": f"{MARK}\0"}]
    return wrong


def broken_bodies() -> list[tuple[bytes, dict[str, str]]]:
    """Bodies that are refused as a whole."""
    body = json.dumps([marked(0)]).encode()
    zipped = gzip.compress(body)
    line = {"content-type": "application/x-ndjson"}
    return [
        (body[:-1], {}),
        (body[1:-1], {}),
        (body + b"x", {}),
        (body.replace(b"true", MARK.encode()), {}),
        (body.replace(MARK.encode(), b"\xff" + MARK.encode()), {}),
        (body[1:-1] + b"\n" + body[:-20], line),
        (zipped[:-10], {"content-encoding": "gzip"}),
        (body, {"content-encoding": "gzip"}),
        (body, {"content-encoding": "zstd"}),
        (zstandard.compress(body)[:-3], {"content-encoding": "zstd"}),
        (body, {"content-type": "text/csv"}),
        (body, {"vbasoftware-database": "nowhere"}),
        (body, {"authorization": "Bearer wrong"}),
    ]
