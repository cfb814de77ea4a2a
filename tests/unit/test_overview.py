"""The overview that `carecase top` shows: as a document, and as tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cli.operating.overview import document, duration, screen, size
from carecase_worker.store.operations.throughput import Trouble
from carecase_worker.store.queries.overview import Breaker, ChunkInHand, DatabaseWork, Overview
from carecase_worker.store.workers.presence import Workers

JOB = "0199c0de-0000-7000-8000-000000000001"
WORKER = "node-1/boot/4026531836:77:123456"
BUSY = DatabaseWork(
    "north", 3, 12_000, 3 << 20, 8, 5400, JOB, timedelta(seconds=75.5), Breaker.HALF_OPEN,
    Trouble("refused", timedelta(seconds=61)),
)  # fmt: skip
IDLE = DatabaseWork("south", 0, 0, 0, 0, 0, None, timedelta(0), Breaker.CLOSED, None)
OVERVIEW = Overview(
    datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC),
    [BUSY, IDLE],
    Workers([WORKER], {WORKER: timedelta(milliseconds=-1500)}),
    [ChunkInHand("node-1", "88", ChunkRef(JOB, 4), "north")],
)


def shown(overview: Overview, width: int = 140, fault: str | None = None) -> str:
    """The screen as text."""
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(screen(overview, fault))
    return console.export_text()


def test_the_document_has_every_number() -> None:
    assert document(OVERVIEW) == {
        "at": "2026-03-01T12:00:05.000Z",
        "databases": [
            {
                "database": "north",
                "openJobs": 3,
                "openItems": 12_000,
                "openBytes": 3 << 20,
                "openChunks": 8,
                "itemsPerSecond": 5400,
                "oldestJob": JOB,
                "oldestJobSeconds": 75.5,
                "breaker": "half-open",
                "trouble": {"reason": "refused", "seconds": 61.0},
            },
            {
                "database": "south",
                "openJobs": 0,
                "openItems": 0,
                "openBytes": 0,
                "openChunks": 0,
                "itemsPerSecond": 0,
                "oldestJob": None,
                "oldestJobSeconds": None,
                "breaker": "closed",
                "trouble": None,
            },
        ],
        "workers": [{"name": WORKER, "host": "node-1", "pid": 77, "clockAheadSeconds": -1.5}],
        "chunks": [{"host": "node-1", "pid": 88, "database": "north", "jobId": JOB, "chunk": 4}],
    }


def test_the_screen_shows_all_of_it() -> None:
    text = shown(OVERVIEW)
    for part in (
        "12:00:05",
        "12,000",
        "3.0 MiB",
        "5,400",
        "1 min 15 s",
        "half-open",
        "refused for 1 min 1 s",
        "-1.5 s",
    ):
        assert part in text
    assert "In hand (1)" in text
    assert JOB in text


@pytest.mark.parametrize(
    ("breaker", "word"), [(Breaker.CLOSED, "closed"), (Breaker.OPEN, "open"), (Breaker.HALF_OPEN, "half-open")]
)
def test_a_breaker_has_the_same_word_for_scripts_and_for_people(breaker: Breaker, word: str) -> None:
    overview = replace(OVERVIEW, databases=[replace(BUSY, breaker=breaker)])
    assert [one["breaker"] for one in document(overview)["databases"]] == [word]
    assert [line.split()[-1] for line in shown(overview).splitlines() if "12,000" in line] == [word]


def test_a_terminal_of_80_columns_shows_every_heading_and_number_whole() -> None:
    text = shown(OVERVIEW, width=80)
    assert "…" not in text
    for part in (
        "items/s",
        "chunks",
        "12,000",
        "3.0 MiB",
        "5,400",
        "1 min 15 s",
        "half-open",
        "north fails with refused",
        JOB,
    ):
        assert part in text


def test_a_cell_that_is_too_wide_is_folded_and_loses_nothing() -> None:
    large = replace(BUSY, database="northern_hospitals", open_items=12_345_678, open_bytes=1 << 33, open_jobs=1234)
    text = shown(replace(OVERVIEW, databases=[large]), width=80)
    assert "…" not in text
    for part in ("12,345,678", "8.0 GiB", "1,234", "half-open"):
        assert part in text
    (first,) = [line.split()[0] for line in text.splitlines() if "12,345,678" in line]
    assert "northern_hospitals".startswith(first)


def test_keys_are_told_of_where_they_do_something() -> None:
    assert "Ctrl-C" not in shown(OVERVIEW)


@pytest.mark.parametrize("width", [80, 140])
def test_the_tables_are_as_wide_as_the_terminal(width: int) -> None:
    lines = [line for line in shown(OVERVIEW, width).splitlines() if set(line.strip()) == {"─"}]
    assert [len(line) for line in lines] == [width] * 3


def test_a_narrow_terminal_is_not_left_by_any_line() -> None:
    assert max(map(len, shown(OVERVIEW, width=60).splitlines())) <= 60


def test_no_worker_and_a_redis_that_is_away_say_what_to_do() -> None:
    text = shown(Overview(OVERVIEW.at, [IDLE], Workers([], {}), []), fault="the job store cannot be reached.")
    assert "start: carecase worker" in text
    assert "the job store cannot be reached. The last known state is shown." in text
    assert "In hand" not in text


def test_many_chunks_in_hand_are_not_all_shown() -> None:
    chunks = [ChunkInHand("node-1", str(number), ChunkRef(JOB, number), "north") for number in range(100)]
    assert "In hand (100, 70 not shown)" in shown(Overview(OVERVIEW.at, [BUSY], OVERVIEW.workers, chunks))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (90_061, "1 d 1 h"), (864_000, "10 d 0 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (5 << 40, "5,120.0 GiB")],
)
def test_bytes_have_a_binary_unit(count: int, text: str) -> None:
    assert size(count) == text
