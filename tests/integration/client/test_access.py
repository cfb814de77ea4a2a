"""Where the client finds the service and its credentials: flags before variables, or else all from a system nearby."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.needs import lack
from tests.peers import JOB, answering, job_reply

from carecase_worker.client.access import find_access
from carecase_worker.client.api import connect
from carecase_worker.errors import ClientError

VARIABLES = {"CARECASE_URL": " http://told\n", "CARECASE_API_KEY": "k", "CARECASE_TOKEN": "t", "CARECASE_DATABASE": "d"}


def page(place: Path, name: str = "stack.json", **members: Any) -> Path:
    """A stack.json, with members replaced; `...` leaves one out."""
    client = {"name": "demo", "api_key": "near-key", "bearer": "near-token", "databases": ["near-d", "other"]}
    stack: dict[str, Any] = {"intake": {"url": "http://near"}, "clients": [client, {"name": "other"}], **members}
    file = place / name
    file.write_text(json.dumps({name: value for name, value in stack.items() if value is not ...}))
    return file


@pytest.mark.parametrize(
    ("flags", "variables", "nearby", "found"),
    [
        ({"url": "u"}, {}, False, ("u", None, None, None, "--url")),
        ({"url": "u", "api_key": None}, VARIABLES, False, ("u", "k", "t", "d", "--url")),
        ({}, VARIABLES, False, ("http://told", "k", "t", "d", "CARECASE_URL")),
        ({}, {}, True, ("http://near", "near-key", "near-token", "near-d", None)),
        ({"database": "f"}, {}, True, ("http://near", "near-key", "near-token", "f", None)),
        ({}, {"CARECASE_DATABASE": "v"}, True, ("http://near", "near-key", "near-token", "v", None)),
        ({"url": "u", "database": "f"}, {}, True, ("u", None, None, "f", "--url")),
        ({}, {"CARECASE_URL": "u", "CARECASE_TOKEN": "t"}, True, ("u", None, "t", None, "CARECASE_URL")),
        ({"token": "f", "url": None}, VARIABLES, True, ("http://told", "k", "f", "d", "CARECASE_URL")),
    ],
)
def test_flags_come_before_variables_before_what_is_nearby(
    tmp_path: Path, flags: Any, variables: dict[str, str], nearby: bool, found: tuple[str | None, ...]
) -> None:
    file = page(tmp_path) if nearby else tmp_path / "none"
    *expected, source = found
    access = find_access(flags, variables, (file,))
    assert [access.url, access.api_key, access.token, access.database] == expected
    assert access.source == (source or str(file))


@pytest.mark.parametrize(
    ("flags", "variables", "given"),
    [
        ({"token": "f"}, {}, "a token"),
        ({"api_key": "f"}, {}, "an API key"),
        ({}, {"CARECASE_API_KEY": "k"}, "an API key"),
        ({"token": "f"}, {"CARECASE_API_KEY": "k", "CARECASE_DATABASE": "d"}, "an API key and a token"),
    ],
)
def test_a_page_nearby_does_not_choose_where_credentials_are_sent(
    tmp_path: Path, flags: dict[str, str], variables: dict[str, str], given: str
) -> None:
    file = page(tmp_path)
    with pytest.raises(ClientError) as raised:
        find_access(flags, variables, (file,))
    assert str(raised.value) == (
        f"You gave {given} without a URL, and {file} cannot supply one for it. Give --url or set CARECASE_URL,"
        " or leave out API key and token, to use those of stack.json."
    )
    with pytest.raises(ClientError, match="URL is unknown"):
        find_access(flags, variables, (tmp_path / "none",))


def test_a_page_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    if os.geteuid():
        lack("only root can give a file to somebody else")
    file = page(tmp_path)
    os.chown(file, 12345, 12345)
    with pytest.raises(ClientError) as raised:
        find_access({}, {}, (file,))
    assert str(raised.value) == f"{file}: belongs to another user, so it is not used. Give --url and credentials."
    assert find_access({"url": "u"}, {}, (file,)).url == "u"


def test_of_two_pages_the_first_counts(tmp_path: Path) -> None:
    far, near = page(tmp_path, "far", intake={"url": "http://far"}), page(tmp_path, "near")
    assert find_access({}, {}, (tmp_path / "none", near, far)).url == "http://near"
    assert find_access({}, {}, (far, near)).url == "http://far"


@pytest.mark.parametrize(
    "members",
    [
        {"intake": ...}, {"intake": {}}, {"intake": 5}, {"clients": ...}, {"clients": []}, {"clients": [{}]},
        {"clients": [{"api_key": "k", "bearer": "b", "databases": []}]},
    ],
)  # fmt: skip
def test_a_page_of_something_else_is_reported_unless_it_is_not_needed(tmp_path: Path, members: dict[str, Any]) -> None:
    file = page(tmp_path, **members)
    with pytest.raises(ClientError) as raised:
        find_access({"database": "d"}, {}, (file,))
    assert find_access({"url": "u"}, {}, (file,)).url == "u"
    text = "was not written by carecase up. Give --url and credentials, or start carecase up again."
    assert str(raised.value) == f"{file}: {text}"


def test_a_page_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ClientError) as raised:
        find_access({}, {}, (tmp_path,))
    assert str(raised.value) == f"{tmp_path}: cannot be read (Is a directory)"


def test_no_secret_is_in_what_is_shown_of_it(tmp_path: Path) -> None:
    shown = repr(find_access({}, {}, (page(tmp_path),)))
    assert "http://near" in shown
    assert "near-key" not in shown
    assert "near-token" not in shown


def test_a_service_on_this_machine_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy would get the credentials and the cases, and could not reach that service."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering(job_reply()) as service, answering() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with connect(service.url, api_key="k") as client:
            assert client.job(JOB).job_id == JOB
        assert proxy.calls == []
