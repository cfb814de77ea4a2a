"""What the scripts answer by names, as the model answers it: in a row."""

from typing import Any

import msgspec
from tests.integration.store.states import Answer

_OF_THE_CHUNK = ("deaths", "releases", "faults", "too_slow", "failures", "failing_for_ms")
_OF_THE_JOB = (
    "database", "care_plan", "user", "seq", "strict", "accepted_us", "unsettled", "moved", "client", "total", "chunks",
    "data_key", "signature", "traceparent", "dry_run", "isolation",
)  # fmt: skip
_OF_THE_ADMITTED = ("seq", "accepted_us", "unsettled", "open_items", "items_per_second", "completed_ms")
_FIRST_OF_A_MAP = 0x80


def answer_of(reply: Any) -> Any:
    """The answer, as the model has it."""
    match reply:
        case bytes() if reply[:1] >= bytes([_FIRST_OF_A_MAP]):
            return _row(msgspec.msgpack.decode(reply), [])
        case bytes():
            return reply.decode()
        case [bytes() as first, *payloads] if first[:1] >= bytes([_FIRST_OF_A_MAP]):
            return _row(msgspec.msgpack.decode(first), [payload.decode() for payload in payloads])
        case list():
            return [answer_of(one) for one in reply]
        case _:
            return reply


def _row(values: dict[str, Any], payloads: list[str]) -> Answer:
    match values:
        case {"job": job, "event": event, "failed": failed}:
            return [job, event, failed]
        case {"job": ""}:
            return []
        case {"verdicts": verdicts, "shares": shares, "to_notify": to_notify, "following": following}:
            return [
                shares,
                [[one["chunk"], *_claimed(one, payloads)] for one in following],
                to_notify,
                values["final"],
                *verdicts,
            ]
        case {"chunks": [{"verdict": _}, *_] as chunks}:
            (_, *first), *others = ([one["chunk"], *_claimed(one, payloads)] for one in chunks)
            return [first, *others]
        case {"chunks": reclaimed}:
            return [name for one in reclaimed for name in (one["database"], one["chunk"])]
        case {"total": total, "jobs": jobs}:
            return [total, *jobs]
        case {"verdict": "admitted", "seq": _, "to_notify": to_notify}:
            facts = [values[name] if name == "open_items" else _text(values[name]) for name in _OF_THE_ADMITTED]
            return ["admitted", facts, *to_notify]
        case {"verdict": "admitted"}:
            return ["admitted", []]
        case {"verdict": verdict, **rest}:
            return [verdict, *(rest[name] for name in ("job", "whose") if name in rest), *rest.get("to_notify", ())]
        case _:
            raise AssertionError(f"an answer that nothing here knows: {values}")


def _claimed(one: dict[str, Any], payloads: list[str]) -> Answer:
    match one["verdict"]:
        case "apply" | "cancel" as verdict:
            counted = [one[name] for name in _OF_THE_CHUNK]
            return [verdict, payloads.pop(0), *counted, *(_text(one.get(name, "")) for name in _OF_THE_JOB)]
        case "busy":
            return ["busy", one["holder"]]
        case "unplaced":
            return ["unplaced", one["database"]]
        case "circuit_open":
            return ["circuit_open", one["open_ms"]]
        case verdict:
            return [verdict]


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
