"""Expiry times of the certificates of Redis connections."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates

from carecase_worker.clock import epoch_ms
from carecase_worker.settings.model import RedisSettings
from carecase_worker.telemetry import MetricSample

_EXPIRES = "Unix time at which the first certificate in a file expires"


def certificate_expiries(settings: RedisSettings) -> Iterator[MetricSample]:
    """Yield the expiry of each configured certificate file; unreadable files are left out."""
    for setting, file in (("redis.ca_file", settings.ca_file), ("redis.cert_file", settings.cert_file)):
        if file is None:
            continue
        with suppress(OSError, ValueError):
            expires_at = epoch_ms(_first_expiry(file)) / 1000
            yield MetricSample(
                "carecase_certificate_expiry_timestamp_seconds", _EXPIRES, expires_at, {"setting": setting}
            )


def _first_expiry(file: Path) -> datetime:
    return min(one.not_valid_after_utc for one in load_pem_x509_certificates(file.read_bytes()))
