"""Numbers among the settings: default, unit and bounds of each are those of docs/configuration.md."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.settings.sections.section import Section

DOCS = Path(__file__).parents[2] / "docs"
ROW = r"^\| `([a-zA-Z.]+)\.(\w+)` \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \|$"
NUMBERS = {
    (section, leaf): tuple(figure.replace(",", "") for figure in figures)
    for section, leaf, *figures in re.findall(ROW, (DOCS / "configuration.md").read_text(), flags=re.MULTILINE)
}
"""Default, least and most by section and name, as they are written there."""
FRACTIONS = ("rate_per_second", "processor_share_per_client")
CONTRACT = {
    # docs/contract.md: "1,000,000 items, 1 GiB decoded, 256 KiB an item", "25 requests a second sustained, 50 burst",
    # "default retention: 7 days"; and a day of retries
    ("intake", "max_items"): 1_000_000,
    ("intake", "max_body_bytes"): 1024**3,
    ("intake", "max_item_bytes"): 256 * 1024,
    ("intake", "rate_per_second"): 25,
    ("intake", "rate_burst"): 50,
    ("jobs", "retention_seconds"): 7 * 24 * 60 * 60,
    ("jobs", "retry_deadline_seconds"): 24 * 60 * 60,
}


def sections(settings: Settings) -> Iterator[tuple[str, Section]]:
    for name in type(settings).model_fields:
        one = getattr(settings, name)
        if isinstance(one, Section):
            yield name, one
    yield "databases.NAME", settings.databases["name"]


def figures(settings: Settings) -> dict[tuple[str, str], float]:
    """Every number among settings by section and name; durations in seconds."""
    found: dict[tuple[str, str], float] = {}
    for section, values in sections(settings):
        for name, field in type(values).model_fields.items():
            value = getattr(values, name)
            if isinstance(value, timedelta):
                assert field.alias == f"{name}_seconds"
                found[section, field.alias] = value.total_seconds()
            elif isinstance(value, int | float) and not isinstance(value, bool):
                found[section, name] = value
    return found


def given(section: str, leaf: str, value: str, by: str, tmp_path: Path) -> Settings:
    """The settings with one number, in the file or in the environment."""
    environment = {"CARECASE_DATABASES_NAME_URL": "sqlite:///d"}
    file = tmp_path / "carecase.toml"
    file.write_text("")
    if by == "file":
        file.write_text(f"[{section.lower()}]\n{leaf} = {value}\n")
    else:
        environment[f"CARECASE_{section}_{leaf}".upper().replace(".", "_")] = value
    return load(file, environment)


def fault(section: str, leaf: str, value: str, by: str, tmp_path: Path) -> str:
    """The mistake of a number by itself; "" if it has none, though it may contradict other settings."""
    try:
        assert figures(given(section, leaf, value, by, tmp_path))[section, leaf] == float(value)
    except SettingsError as error:
        place = f"{section.lower()}.{leaf}"
        lines = str(error).splitlines()
        return next((line for line in lines if re.match(rf"{re.escape(place)}: must be a (whole )?number", line)), "")
    return ""


def test_the_table_has_every_number_and_its_default() -> None:
    settings = load(environment={"CARECASE_DATABASES_NAME_URL": "sqlite:///d"})
    assert figures(settings) == {place: float(default) for place, (default, _, _) in NUMBERS.items()}


def test_the_contracts_numbers_are_the_defaults() -> None:
    assert {place: float(NUMBERS[place][0]) for place in CONTRACT} == CONTRACT


def test_what_the_docs_say_beside_a_settings_name_is_its_default() -> None:
    documented = [
        (name, figure)
        for page in (*DOCS.rglob("*.md"), DOCS.parent / "README.md")
        for name, figure in re.findall(r"`([a-z.]+\w+)` \(([\d.]+)\)", page.read_text())
    ]
    assert len(documented) > 8
    defaults = {f"{section}.{leaf}".removeprefix("databases.NAME."): row[0] for (section, leaf), row in NUMBERS.items()}
    assert [(name, figure) for name, figure in documented if defaults[name] != figure] == []


@pytest.mark.parametrize("by", ["file", "environment"])
@pytest.mark.parametrize(("section", "leaf"), NUMBERS)
def test_exactly_the_bounds_are_taken(section: str, leaf: str, by: str, tmp_path: Path) -> None:
    _, least, most = NUMBERS[section, leaf]
    is_whole = not leaf.endswith(("_seconds", "_ratio")) and leaf not in FRACTIONS
    kind = "a whole number" if is_whole else "a number of seconds" if leaf.endswith("_seconds") else "a number"
    for value in (least, most):
        assert fault(section, leaf, value, by, tmp_path) == ""
    if is_whole:
        beyond = (str(int(least) - 1), str(int(most) + 1))
    else:
        beyond = (f"{float(least) - 0.0005:.4f}", f"{float(most) + 0.0005:.4f}")
    variable = f"CARECASE_{section}_{leaf}".upper().replace(".", "_")
    where = f" (in the environment: {variable})" if by == "environment" else ""
    for value in beyond:
        message = fault(section, leaf, value, by, tmp_path)
        assert message == f"{section.lower()}.{leaf}: must be {kind} from {least} to {most}{where}"
