"""The time at which certificates of the connections to Redis expire, as the metrics show it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.tls import certificates

from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.certificates import certificate_expiries


def ends(file: Path) -> float:
    """The end of a certificate, as openssl shows it."""
    completed = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", file], capture_output=True, check=True)
    moment = completed.stdout.decode().strip().removeprefix("notAfter=")
    return datetime.strptime(moment, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()


def expiries(**files: Path) -> dict[str, float]:
    settings = RedisSettings.model_validate({"url": "rediss://127.0.0.1:6379/0", **files})
    return {one.labels["setting"]: one.value for one in certificate_expiries(settings)}


def test_each_file_of_the_settings_is_named(tmp_path: Path) -> None:
    made = certificates(tmp_path / "tls")
    assert expiries(ca_file=made.ca, cert_file=made.certificate, key_file=made.key) == {
        "redis.ca_file": ends(made.ca),
        "redis.cert_file": ends(made.certificate),
    }
    assert expiries() == {}


def test_of_several_certificates_in_a_file_the_first_to_expire_counts(tmp_path: Path) -> None:
    made = certificates(tmp_path / "tls")
    brief = tmp_path / "brief.pem"
    subject = ["-subj", "/CN=brief", "-keyout", str(tmp_path / "brief.key"), "-out", str(brief)]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-days", "9", *subject], capture_output=True, check=True)
    expected = {"redis.ca_file": min(ends(brief), ends(made.ca))}
    assert ends(brief) != ends(made.ca)
    for first, second in ((made.ca, brief), (brief, made.ca)):
        both = tmp_path / "both.pem"
        both.write_bytes(first.read_bytes() + second.read_bytes())
        assert expiries(ca_file=both) == expected


def test_of_a_file_that_cannot_be_read_nothing_is_shown(tmp_path: Path) -> None:
    made = certificates(tmp_path / "tls")
    settings = RedisSettings.model_validate({"url": "rediss://127.0.0.1:6379/0", "ca_file": made.ca})
    for content in (b"", b"no certificate"):
        made.ca.write_bytes(content)
        assert list(certificate_expiries(settings)) == []
    made.ca.unlink()
    assert list(certificate_expiries(settings)) == []
