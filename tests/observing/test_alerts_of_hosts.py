"""Alerts of the host of an intake, for real: its clock is off, and a certificate of it expires."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.system import NO_RATE, System, intake_beside, running
from tests.faketime import shifted_in
from tests.observing.conftest import Alerts
from tests.observing.watch import FACTOR, Watch, hurried_rules, watching
from tests.tls import certificates


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the host's clock and the authority's certificate."""
    place = tmp_path_factory.mktemp("host")
    (place / "clock").write_text("+0")
    renew(place, "first", 365)
    return place


@pytest.fixture(scope="module")
def watched(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Watch]]:
    """A system with one more intake, on a host of its own as it were."""
    config = NO_RATE + f"[redis]\nca_file = '{place / 'ca.pem'}'\n"
    clock = shifted_in(place / "clock")
    with (
        running(tmp_path_factory.mktemp("system"), "--workers", "1") as system,
        intake_beside(system, tmp_path_factory.mktemp("intake"), config, **clock) as beside,
    ):
        targets = {"carecase-intake": [one.stack["intake"]["url"] for one in (system, beside)]}
        with watching(tmp_path_factory.mktemp("watch"), targets, hurried_rules(FACTOR)) as watch:
            yield system, watch


def renew(place: Path, name: str, days: int) -> None:
    """Put a new certificate into the place of the one before, at one stroke."""
    certificates(place / name, days).ca.replace(place / "ca.pem")


def test_a_clock_that_is_off_is_reported_once(watch: Watch, alerts: Alerts, place: Path) -> None:
    (place / "clock").write_text("+60s")
    watch.waits_for("firing", "ClockSkew")
    (place / "clock").write_text("+0")
    alerts.once(("ClockSkew", ""))


def test_a_certificate_that_expires_in_a_day_is_reported_once(watch: Watch, alerts: Alerts, place: Path) -> None:
    renew(place, "short", 1)
    watch.waits_for("firing", "CertificateExpires")
    renew(place, "long", 365)
    alerts.once(("CertificateExpires", ""))
