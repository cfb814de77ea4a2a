"""Advisories in the form of OSV (ossf.github.io/osv-schema): which of them a version of a package is affected by."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Advisory = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """An advisory that a locked version is affected by."""

    package: str
    version: str
    advisory: Advisory

    def line(self) -> str:
        """It in a line: what, what is known, and where it is mended."""
        known_as = ", ".join([self.advisory["id"], *self.advisory.get("aliases", ())])
        mended = sorted({str(version) for version in _fixes(self.advisory, self.package)})
        return f"{self.package} {self.version}: {known_as}; mended in {', '.join(mended) or 'no version'}"


def affected(locked: Mapping[str, Iterable[str]], advisories: Iterable[Advisory]) -> Iterator[Found]:
    """Every advisory that any of the locked versions of a package is affected by; withdrawn ones are none."""
    for advisory in advisories:
        if "withdrawn" in advisory:
            continue
        for part in _parts(advisory):
            name = canonicalize_name(part["package"]["name"])
            for version in sorted(locked.get(name, ())):
                if is_affected(part, version):
                    yield Found(name, version, advisory)


def is_affected(part: Mapping[str, Any], version: str) -> bool:
    """Tell if a version is listed, or lies in a range, by the evaluation of OSV's schema."""
    if version in part.get("versions", ()):
        return True
    known = Version(version)
    listed = {one for text in part.get("versions", ()) if (one := _version(text)) is not None}
    ranges = (held["events"] for held in part.get("ranges", ()) if held["type"] in ("ECOSYSTEM", "SEMVER"))
    return known in listed or any(_lies_in(events, known) for events in ranges)


def _lies_in(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    """Go through the events in their order: introduced switches on, fixed switches off, and what comes after last."""
    changes = sorted((_version(text) or Version("0"), kind) for event in events for kind, text in event.items())
    inside = False
    for moment, kind in changes:
        if kind == "introduced" and version >= moment:
            inside = True
        elif (kind == "fixed" and version >= moment) or (kind == "last_affected" and version > moment):
            inside = False
    return inside


def _parts(advisory: Advisory) -> Iterator[Mapping[str, Any]]:
    for part in advisory.get("affected", ()):
        if part.get("package", {}).get("ecosystem") == "PyPI":
            yield part


def _fixes(advisory: Advisory, package: str) -> Iterator[Version]:
    for part in _parts(advisory):
        if canonicalize_name(part["package"]["name"]) == package:
            for held in part.get("ranges", ()):
                if held["type"] != "GIT":
                    yield from (Version(event["fixed"]) for event in held["events"] if "fixed" in event)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
