"""Settings of tracing: the endpoint in its full form, the headers by name, and the mistakes in both."""

from pathlib import Path

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load

HERE = "CARECASE_TRACING_ENDPOINT"
SHOULD = "must be http://host:4318, or https:// for TLS, with a path if it is not /v1/traces"
PARTS = f"{SHOULD}, without a user or options in it; credentials belong in tracing.headers"


def test_tracing_is_off_by_default(tmp_path: Path) -> None:
    tracing = load(None, {}).tracing
    assert (tracing.endpoint, tracing.by_name) == (None, {})


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://o.example/otlp/v1/traces", "https://o.example/otlp/v1/traces"),
        ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
    ],
)
def test_an_endpoint_without_a_path_gets_the_usual_one(given: str, endpoint: str) -> None:
    assert load(None, {HERE: given}).tracing.endpoint == endpoint


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("collector:4318", f"{SHOULD};"),
        ("grpc://collector:4317", f"{SHOULD};"),
        ("http://collector:port", f"{SHOULD}: the port must be a number from 1 to 65535"),
        ("http://user:s3cret@collector:4318", PARTS),
        ("http://collector:4318?token=s3cret", PARTS),
    ],
)
def test_another_endpoint_is_refused(given: str, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {HERE: given})
    assert str(refused.value).startswith(f"tracing.endpoint: {text}")
    assert "s3cret" not in str(refused.value)


def test_headers_have_names_and_values(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("authorization=Bearer%20a.b==, X-Scope = one two\n")
    variables = {HERE: "http://collector:4318", "CARECASE_TRACING_HEADERS_FILE": str(file)}
    assert load(None, variables).tracing.by_name == {"authorization": "Bearer a.b==", "X-Scope": "one two"}


@pytest.mark.parametrize("given", ["s3cret", "=s3cret", "a b=s3cret", "a=s3cret,", "a=s3cret%0D%0Ab: c", "a=%C3%A9"])
def test_other_headers_are_refused_and_not_quoted(given: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {HERE: "http://collector:4318", "CARECASE_TRACING_HEADERS": given})
    assert str(refused.value).startswith("tracing.headers: header ")
    assert "s3cret" not in str(refused.value)


def test_headers_need_an_endpoint_and_do_not_belong_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^tracing.headers: needs tracing.endpoint, "):
        load(None, {"CARECASE_TRACING_HEADERS": "a=b"})
    file = tmp_path / "carecase.toml"
    file.write_text("[tracing]\nendpoint = 'http://collector:4318'\nheaders = 'a=b'\n")
    with pytest.raises(SettingsError, match=r"^tracing.headers: a secret does not belong in the file; "):
        load(file, {})
