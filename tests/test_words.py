"""Retired words: each has a standard term of the field in its place, which the glossary has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = (
    "src",
    "tests",
    "bench",
    "docs",
    "docs_site",
    "config",
    "deploy",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docker-compose.yml",
)
KINDS = {".py", ".lua", ".md", ".toml", ".yml", ".sql", ".svg"}
RETIRED = {
    "notification": r"door[-_ ]?bells?",
    "notify": r"\b(?:ring|rings|rang|rung)[_ ](?:again|for)\b|\bring_again",
    "reclaim": r"\bbur(?:y|ied|ies)\b",
    "operation": r"\bverbs?\b|\bVERBS\b",
    "a batch that waits": r"turn:\{|turns:\{",
    "extrapolate": r"\breckon(?:s|ed|ing)?\b",
    "reply": r"\b(?:job|pace|trouble|oldest)_told\b",
    "at the moment": r"\bnot to be had\b|\bcannot be had\b",
}


def texts() -> list[Path]:
    places = [ROOT / place for place in PLACES]
    found = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    return [path for path in found if path.suffix in KINDS and path != Path(__file__)]


@pytest.mark.parametrize("standard", RETIRED)
def test_no_retired_word_is_left(standard: str) -> None:
    word = re.compile(RETIRED[standard], re.IGNORECASE)
    used = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word.search(line)
    ]
    assert used == [], f"write {standard!r}"
