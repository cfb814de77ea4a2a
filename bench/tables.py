"""The figures as Markdown, for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from statistics import median

from bench.behind import Behind, Waited
from bench.client import Timing
from bench.field import LIMIT, THIS
from bench.measures import Cost, Cpu
from bench.observing import TARGETS, Watched
from bench.rounds import NEW, WORKLOADS, Race, Rates, Spread, ratio
from bench.small import Found, Load

_TOLD_MS = 0.01
_ALIGNED = {False: "---", True: "---:"}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; the first column is text, the others are figures."""
    yield _line(heads)
    yield _line([_ALIGNED[number > 0] for number in range(len(heads))])
    yield from map(_line, rows)


def ways(rates: Rates, count: dict[Race, int]) -> Iterator[str]:
    """Every contestant with new cases: the fastest first."""
    races = sorted((race for race in rates if race.workload == NEW), key=lambda race: -Spread.of(rates[race]).middle)
    this, limit = Race(THIS, NEW), Race(LIMIT, NEW)
    rows = (
        (
            race.contestant.what,
            race.contestant.processes,
            f"{count[race] * race.contestant.batches:,}",
            _rate(Spread.of(rates[race])),
            _share(ratio(rates, race, limit)),
            "" if race.contestant.database == THIS.database else _times(ratio(rates, this, race)),
        )
        for race in races
    )
    yield from table(
        ("way to write, all cases new", "processes", "cases", "cases/s", "of the limit", "this system is faster"), rows
    )


def workloads(rates: Rates) -> Iterator[str]:
    """This system beside the limit, by workload."""
    rows = []
    for workload in WORKLOADS:
        this, limit = Race(THIS, workload), Race(LIMIT, workload)
        if this in rates and limit in rates:
            spreads = (Spread.of(rates[this]), Spread.of(rates[limit]))
            rows.append((workload.name, *map(_rate, spreads), _share(ratio(rates, this, limit))))
    yield from table(("workload", "this system, cases/s", "bare limit, cases/s", "of the limit"), rows)


def small(found: dict[Load, tuple[list[Found], list[Found]]]) -> Iterator[str]:
    """Small batches: medians of the rounds of this system, and how many times the plain way that is in its rounds."""
    rows = []
    for load, (ours, plain) in found.items():
        accepted, applied = median(one.accepted_per_s for one in ours), median(one.applied_per_s for one in ours)
        times = [
            _ratio(ours, plain, lambda one: one.accepted_per_s),
            _ratio(ours, plain, lambda one: one.applied_per_s),
        ]
        middle_ms = median(second for one in ours for second in one.seconds) * 1000
        cpu = {name: median(one.cpu[name] for one in ours) / load.batches * 1000 for name in ours[0].cpu}
        costs = ", ".join(f"{name} {ms:.2f}" for name, ms in cpu.items() if ms >= _TOLD_MS)
        plans = f"{load.care_plans} care plans" if load.care_plans else ""
        rows.append(
            (
                f"{load.size:,} {plans}".strip(),
                str(load.connections),
                f"{accepted:,.0f}",
                times[0],
                f"{applied:,.0f}",
                times[1],
                f"{middle_ms:.1f}",
                f"{sum(cpu.values()):.2f} ({costs})",
            )
        )
    heads = ("batches of", "connections", "accepted/s", "× plain", "applied/s", "× plain", "202, ms", "CPU ms a batch")
    yield from table(heads, rows)


def behind(found: dict[Behind, list[Waited]]) -> Iterator[str]:
    """Ten cases behind large batches: medians of the rounds, in seconds from their PUT."""
    rows = [
        (one.value, *(f"{median(seconds):.3f}" for seconds in zip(*map(astuple, waited), strict=True)))
        for one, waited in found.items()
    ]
    yield from table(("the large batches are of", "ten cases final, s", "first large, s", "last large, s"), rows)


def observing(found: dict[Load, dict[Watched, list[Found]]]) -> Iterator[str]:
    """Costs of watching: medians of the rounds' ratios to the same load unwatched, with the least and the most."""
    rows = []
    for load, ways in found.items():
        plain = ways[Watched.NOT]
        cpu = median(sum(one.cpu.values()) for one in plain) / load.batches * 1000
        cells = [f"{median(one.applied_per_s for one in plain):,.1f}", f"{cpu:.2f}"]
        for watched in TARGETS:
            rounds = list(zip(ways[watched], plain, strict=True))
            cells.append(_change(Spread.of(one.applied_per_s / other.applied_per_s for one, other in rounds)))
            cells.append(_change(Spread.of(sum(one.cpu.values()) / sum(other.cpu.values()) for one, other in rounds)))
        rows.append((f"{load.size:,}", str(load.connections), *cells))
    heads = [
        f"{watched.value} (target {target:.0%}): {what}"
        for watched, target in TARGETS.items()
        for what in ("applied/s", "CPU")
    ]
    yield from table(("batches of", "connections", "applied/s", "CPU ms a batch", *heads), rows)


def _change(spread: Spread) -> str:
    """By how much a ratio differs from 1."""
    return f"{spread.middle - 1:+.1%} ({spread.least - 1:+.1%}..{spread.most - 1:+.1%})"


def _ratio(ours: Sequence[Found], plain: Sequence[Found], rate: Callable[[Found], float]) -> str:
    """The median of the rounds' ratios; nothing where the plain way had no round."""
    return f"{median(rate(one) / rate(other) for one, other in zip(ours, plain, strict=True)):.1f}" if plain else ""


def latency(timings: dict[int, list[Timing]]) -> Iterator[str]:
    """Milliseconds by size of batch, one after the other on an idle system."""
    rows = (
        (
            f"{size:,}",
            str(len(seconds)),
            *_centiles_ms([one.accepted_s for one in seconds]),
            *_centiles_ms([one.final_s for one in seconds]),
        )
        for size, seconds in timings.items()
    )
    heads = ("batch of, on an idle system", "times", "202 p50 ms", "p99", "final p50 ms", "p99")
    yield from table(heads, rows)


def sizes(costs: dict[int, Cost]) -> Iterator[str]:
    """Cost by size of batch."""
    rows = []
    for size, cost in costs.items():
        spread = Spread.of(size / timing.final_s for timing in cost.timings)
        accepted = Spread.of(1e6 * timing.accepted_s / size for timing in cost.timings)
        final = Spread.of(1e6 * timing.final_s / size for timing in cost.timings)
        grown = (f"{cost.grown_bytes / 2**20:,.0f}", f"{cost.grown_private_bytes / 2**20:,.0f}")
        rows.append((f"{size:,}", f"{accepted.middle:.1f}", f"{final.middle:.1f}", _rate(spread), *grown))
    heads = ("batch of", "202, µs a case", "final, µs a case", "cases/s", "intake grew, MiB", "of that not file pages")
    yield from table(heads, rows)


def cpu(found: Cpu) -> Iterator[str]:
    """CPU time of one large batch."""
    micros = {role: 1e6 * seconds / found.cases for role, seconds in found.seconds.items()}
    rows = [(role, f"{value:.1f}") for role, value in micros.items()]
    yield from table(
        (f"{found.cases:,} new cases", "CPU µs a case"), [*rows, ("together", f"{sum(micros.values()):.1f}")]
    )


def polls(seconds: Sequence[float]) -> str:
    """A line on polling under load."""
    middle, late = _centiles_ms(seconds)
    return f"Polls while a large batch is applied ({len(seconds)}): p50 {middle} ms, p99 {late} ms."


def results(items: int, seconds: Sequence[float]) -> str:
    """A line on fetching results."""
    spread = Spread.of(1e6 * one / items for one in seconds)
    micros = f"{spread.middle:.2f} µs an item ({spread.least:.2f}..{spread.most:.2f})"
    return f"The result of {items:,} items, fetched whole: {micros}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(spread: Spread) -> str:
    return f"{spread.middle:,.0f} ({spread.least:,.0f}..{spread.most:,.0f})"


def _share(spread: Spread | None) -> str:
    if spread is None:
        return ""
    digits = 0 if spread.middle >= 0.1 else 1
    return f"{spread.middle:.{digits}%} ({spread.least:.{digits}%}..{spread.most:.{digits}%})"


def _times(spread: Spread | None) -> str:
    return "" if spread is None else f"×{spread.middle:.1f} ({spread.least:.1f}..{spread.most:.1f})"


def _centiles_ms(seconds: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    return f"{1000 * middle:.1f}", f"{1000 * late:.1f}"
