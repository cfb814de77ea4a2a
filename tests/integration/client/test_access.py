"""Where the client finds the service and its credentials: flags before variables before a system nearby."""

import json
from pathlib import Path
from typing import Any

import pytest

from carecase_worker.client.access import find_access
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
        ({"token": "f"}, {"CARECASE_API_KEY": "k"}, True, ("http://near", "k", "f", "near-d", None)),
        ({"url": "u", "database": "f"}, {}, True, ("u", "near-key", "near-token", "f", "--url")),
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
def test_a_page_of_something_else_is_told_also_if_only_a_part_of_it_is_needed(
    tmp_path: Path, members: dict[str, Any]
) -> None:
    file = page(tmp_path, **members)
    with pytest.raises(ClientError) as raised:
        find_access({"url": "u"}, {}, (file,))
    text = "is not what carecase up writes. Give --url and credentials, or start carecase up again."
    assert str(raised.value) == f"{file}: {text}"


def test_a_page_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClientError) as raised:
        find_access({}, {}, (tmp_path,))
    assert str(raised.value) == f"{tmp_path}: cannot be read (Is a directory)"


def test_no_secret_is_in_what_is_shown_of_it(tmp_path: Path) -> None:
    shown = repr(find_access({}, {}, (page(tmp_path),)))
    assert "http://near" in shown
    assert "near-key" not in shown
    assert "near-token" not in shown
