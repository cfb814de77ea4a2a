"""The report for people, in Markdown."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.hostile.bench import Report, Together
from tests.hostile.bounds import Cost
from tests.hostile.readings import PARTS

HEADINGS = (
    "| attack | by | sent | ended | intake CPU | each | ns a byte | Redis | worker | PostgreSQL | intake grows"
    " | Redis grows | a byte | left | how they ended |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
)
_MIB = 1 << 20


def row(cost: Cost) -> str:
    """Cost of one attack: seconds and MiB, CPU for each request in ms and for each byte in ns."""
    tally, used = cost.tally, cost.used
    intake = used.cpu["intake"]
    each, byte = intake / max(tally.requests, 1) * 1e3, intake / max(tally.sent, 1) * 1e9
    others = " | ".join(f"{used.cpu[part]:.2f}" for part in ("redis", "worker", "postgresql"))
    grown = (
        f"{used.peaks.intake / _MIB:.1f} | {used.peaks.redis / _MIB:.2f} | {used.peaks.redis / max(tally.sent, 1):.2f}"
    )
    return (
        f"| {cost.name} | {cost.attack.who.value} | {tally.sent:,} | {tally.requests:,} | {intake:.2f} | {each:.2f}"
        f" | {byte:,.0f} | {others} | {grown} | {max(cost.left, 0) / _MIB:.2f} | {_ends(tally.ends)} |"
    )


def lines(report: Report) -> Iterator[str]:
    """Describe all attacks together, and the bounds that were exceeded."""
    if report.together:
        yield from _together(report.together)
    yield ""
    yield from report.faults or ["Nothing went over its bounds."]


def _together(together: Together) -> Iterator[str]:
    yield (
        "\n| other client | polls | p50 ms | p99 | longest | p99 without waits for a processor | batches | p99"
        " | /livez p99 | items | applied | refused |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for when, seen in (("before", together.before), ("meanwhile", together.meanwhile)):
        polls, batches, livez = seen.polls_ms, seen.batches_ms, seen.livez_ms
        alone = [max(took - waited, 0) for took, waited in zip(polls, seen.waits_ms, strict=True)]
        yield (
            f"| {when} | {len(polls)} | {part(polls, 0.5):.1f} | {part(polls, 0.99):.1f} | {max(polls, default=0):.1f}"
            f" | {part(alone, 0.99):.1f} | {len(batches)} | {part(batches, 0.99):.1f} | {part(livez, 0.99):.1f}"
            f" | {seen.items:,} | {seen.applied:,} | {seen.wrong or 'none'} |"
        )
    used, tallies = together.used, together.tallies.values()
    ends = sum((Counter(tally.ends) for tally in tallies), Counter[str]())
    cpu = ", ".join(f"{name} {used.cpu[name]:.1f}" for name in PARTS)
    yield (
        f"\nThe attackers sent {sum(tally.sent for tally in tallies) / _MIB:,.0f} MiB in {ends.total():,} requests:"
        f" {_ends(ends)}; {sum(not tally.requests for tally in tallies)} of {len(tallies)} attacks came to no"
        f" end.\nCPU seconds: {cpu}. The intake grew by {used.peaks.intake / _MIB:.0f} MiB, Redis by"
        f" {used.peaks.redis / _MIB:.0f} MiB."
    )


def part(values: Sequence[float], share: float) -> float:
    """The value below which a share of them lies; 0 if there is none."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def _ends(ends: Mapping[str, int]) -> str:
    """Count the ends of each kind."""
    return ", ".join(f"{number:,} × {how}" for how, number in sorted(ends.items()))
