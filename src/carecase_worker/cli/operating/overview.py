"""The overview as tables of a terminal, and as a JSON document. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from carecase_worker.store.queries.overview import Breaker, ChunkInHand, DatabaseWork, Overview

_STYLES = {Breaker.CLOSED: "green", Breaker.OPEN: "bold red", Breaker.HALF_OPEN: "yellow"}
_MOST_CHUNKS = 30


def document(overview: Overview) -> dict[str, Any]:
    """Return the document of `carecase top --once --json`; durations are in seconds."""
    return {
        "at": overview.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "databases": [_database(work) for work in overview.databases],
        "workers": [
            {"name": name, "host": _host(name), "pid": _pid(name), "clockAheadSeconds": _seconds(ahead)}
            for name, ahead in ((name, overview.workers.ahead.get(name)) for name in overview.workers.names)
        ],
        "chunks": [
            {
                "host": one.host,
                "pid": int(one.process) if one.process.isdigit() else None,
                "database": one.database,
                "jobId": one.chunk.job_id,
                "chunk": one.chunk.chunk_no,
            }
            for one in overview.in_hand
        ],
    }


def screen(overview: Overview, fault: str | None = None, hint: str = "") -> RenderableType:
    """Render the overview for a terminal; `fault` says why it is out of date, `hint` what keys do."""
    parts: list[RenderableType] = [_head(overview, fault, hint), _databases(overview)]
    if troubles := [*_troubles(overview)]:
        parts += [*troubles, ""]
    parts.append(_workers(overview))
    if overview.in_hand:
        parts.append(_chunks(overview))
    return Group(*parts)


def duration(length: timedelta) -> str:
    """Format a duration with its two largest units, as 3 d 4 h, 12 min 5 s or 7 s."""
    seconds = int(length.total_seconds())
    for unit, of_unit, lesser, of_lesser in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= of_unit:
            return f"{seconds // of_unit} {unit} {seconds % of_unit // of_lesser} {lesser}"
    return f"{seconds} s"


def size(count: int) -> str:
    """Format a number of bytes with a binary unit."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def _database(work: DatabaseWork) -> dict[str, Any]:
    trouble = work.trouble
    return {
        "database": work.database,
        "openJobs": work.open_jobs,
        "openItems": work.open_items,
        "openBytes": work.open_bytes,
        "openChunks": work.open_chunks,
        "itemsPerSecond": work.items_per_second,
        "oldestJob": work.oldest_job,
        "oldestJobSeconds": round(work.oldest.total_seconds(), 3) if work.oldest_job else None,
        "breaker": work.breaker.value,
        "trouble": {"reason": trouble.reason, "seconds": _seconds(trouble.lasting)} if trouble else None,
    }


def _head(overview: Overview, fault: str | None, hint: str) -> Text:
    head = Text.assemble(("carecase top", "bold"), f"  {overview.at:%H:%M:%S} UTC (Redis's clock)  {hint}".rstrip())
    return head.append(f"\n{fault} The last known state is shown.", "bold red") if fault else head


def _table(title: str) -> Table:
    """Return an empty table, close enough for 80 columns; a number that does not fit is folded, never cut."""
    return Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD, pad_edge=False, padding=0)


def _databases(overview: Overview) -> Table:
    names = [work.database for work in overview.databases]
    table = _table("Databases")
    table.add_column("database", overflow="fold", min_width=min(12, max(map(len, names), default=0)))
    for name in ("jobs", "items", "bytes", "chunks", "items/s", "oldest"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("breaker", overflow="fold")
    for work in overview.databases:
        table.add_row(
            Text(work.database),
            f"{work.open_jobs:,}",
            f"{work.open_items:,}",
            size(work.open_bytes),
            f"{work.open_chunks:,}",
            f"{work.items_per_second:,}",
            duration(work.oldest) if work.oldest_job else "",
            Text(work.breaker.value, _STYLES[work.breaker]),
        )
    return table


def _troubles(overview: Overview) -> Iterator[RenderableType]:
    """Yield a line for each database that fails its chunks."""
    for work in overview.databases:
        if trouble := work.trouble:
            yield Text(f"{work.database} fails with {trouble.reason} for {duration(trouble.lasting)}", "red")


def _workers(overview: Overview) -> RenderableType:
    workers = overview.workers
    if not workers.names:
        return Text("No worker was seen within ten seconds; start: carecase worker", "bold red")
    table = _table(f"Workers ({workers.seen})")
    for name in ("host", "process", "clock", "host's chunks in hand"):
        table.add_column(name, overflow="fold")
    for worker in workers.names:
        ahead = workers.ahead.get(worker)
        clock = "" if ahead is None else f"{ahead.total_seconds():+.1f} s"
        busy = sum(one.host == _host(worker) for one in overview.in_hand)
        table.add_row(Text(_host(worker)), str(_pid(worker) or ""), clock, str(busy))
    return table


def _chunks(overview: Overview) -> Table:
    shown, more = overview.in_hand[:_MOST_CHUNKS], len(overview.in_hand) - _MOST_CHUNKS
    title = f"In hand ({len(overview.in_hand)}{f', {more} not shown' if more > 0 else ''})"
    table = _table(title)
    for name in ("host", "pool process", "database", "job", "chunk"):
        table.add_column(name, overflow="fold")
    for one in shown:
        table.add_row(*_row(one))
    return table


def _row(one: ChunkInHand) -> tuple[Text, ...]:
    return tuple(map(Text, (one.host, one.process, one.database, one.chunk.job_id, str(one.chunk.chunk_no))))


def _host(worker: str) -> str:
    return worker.partition("/")[0]


def _pid(worker: str) -> int | None:
    pid = worker.partition(":")[2].partition(":")[0]
    return int(pid) if pid.isdigit() else None


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds(), 3)
