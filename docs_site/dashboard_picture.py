"""The picture of Grafana's dashboard: drawn of data that `python -m tests.observing` recorded of a real Prometheus."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("dashboard-data.json")
_COLOURS = ("#00796b", "#b26a00", "#5e35b1", "#c62828", "#1565c0", "#6d4c41", "#37474f", "#ad1457")
_INK, _FAINT = "#263238", "#cfd8dc"
_COLUMNS, _WIDTH, _HEIGHT, _GAP, _TOP = 3, 330, 190, 14, 40
_LEFT, _PLOT_TOP, _PLOT_HEIGHT, _LEGENDS = 52, 30, 96, 6
_UNITS: Mapping[str, tuple[float, str]] = {
    "percentunit": (100, " %"),
    "s": (1, " s"),
    "reqps": (1, "/s"),
    "ops": (1, "/s"),
}

Series = Mapping[str, Sequence[tuple[float, float]]]


def dashboard_picture() -> str:
    """Draw it."""
    panels = json.loads(DATA.read_text("utf-8"))
    rows = -(-len(panels) // _COLUMNS)
    width, height = _COLUMNS * (_WIDTH + _GAP) + _GAP, _TOP + rows * (_HEIGHT + _GAP)
    title = "The dashboard over two minutes: a database hangs, later the worker does"
    end = max(at for panel in panels for points in panel["series"].values() for at, _ in points)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img" aria-label="{escape(title)}" font-family="system-ui, Helvetica, Arial, sans-serif"'
            f' font-size="11" fill="{_INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="{_GAP}" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
            *(line for number, panel in enumerate(panels) for line in _panel(number, panel, end)),
            "</svg>",
            "",
        )
    )


def _panel(number: int, panel: Mapping[str, Any], end: float) -> Iterator[str]:
    x = _GAP + (number % _COLUMNS) * (_WIDTH + _GAP)
    y = _TOP + (number // _COLUMNS) * (_HEIGHT + _GAP)
    factor, unit = _UNITS.get(panel["unit"], (1, ""))
    values = [value * factor for points in panel["series"].values() for _, value in points]
    top, bottom = _nice(max(values, default=0)), min(0.0, min(values, default=0))
    yield f'<g transform="translate({x} {y})">'
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="none" stroke="{_FAINT}"/>'
    yield f'<text x="10" y="19" font-weight="600">{escape(panel["title"])}</text>'
    for share in (0, 0.5, 1):
        at = _PLOT_TOP + _PLOT_HEIGHT * (1 - share)
        yield f'<path d="M{_LEFT} {at:g}H{_WIDTH - 10}" stroke="{_FAINT}"/>'
        label = f"{round(bottom + (top - bottom) * share, 3):,g}{unit}"
        yield f'<text x="{_LEFT - 5}" y="{at + 4:g}" text-anchor="end">{label}</text>'
    for share in (0, 0.5, 1):
        at = _LEFT + (_WIDTH - 10 - _LEFT) * share
        yield f'<text x="{at:g}" y="{_PLOT_TOP + _PLOT_HEIGHT + 15}" text-anchor="middle">{end * share:.0f} s</text>'
    yield from _lines(panel["series"], factor, (bottom, top), end)
    yield "</g>"


def _lines(series: Series, factor: float, span: tuple[float, float], end: float) -> Iterator[str]:
    bottom, top = span
    chosen = sorted(series, key=lambda name: -max(value for _, value in series[name]))[:_LEGENDS]
    for place, name in enumerate(sorted(chosen)):
        colour = _COLOURS[place]
        path, last = "", None
        for at, value in series[name]:
            x = _LEFT + (_WIDTH - 10 - _LEFT) * at / end
            y = _PLOT_TOP + _PLOT_HEIGHT * (1 - (value * factor - bottom) / (top - bottom))
            path += f"L{x:.1f} {y:.1f}" if last is not None and at - last < 5 else f"M{x:.1f} {y:.1f}h.1"
            last = at
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linecap="round"/>'
        x, y = 12 + place % 3 * 106, _HEIGHT - 26 + place // 3 * 15
        yield f'<rect x="{x}" y="{y - 7}" width="9" height="3" fill="{colour}"/>'
        yield f'<text x="{x + 13}" y="{y - 2}" font-size="10">{escape(name[:18])}</text>'


def _nice(highest: float) -> float:
    """Return a round number that is not below the highest value."""
    if highest <= 0:
        return 1.0
    step = 10.0 ** (len(f"{int(highest)}") - 1) if highest >= 1 else 10.0 ** -(len(f"{1 / highest:.0f}"))
    return next(factor * step for factor in (1, 2, 5, 10, 20, 50, 100) if factor * step >= highest)
