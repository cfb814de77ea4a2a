"""Commands that ask no service: generate, keys, token, env, db, and the command line itself."""

import hashlib
import json
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from tests.integration.cli.commands import Carecase
from tests.oracle import TABLE, Sender, judge

from carecase_worker.version import VERSION

ANYBODY = Sender(None, "sender", datetime(2026, 11, 25, tzinfo=UTC))
COMMANDS = (
    "up intake worker workers flower db keys token audit doctor env submit generate status result cancel retry jobs"
)
SECRET = "0123456789abcdef" * 2


@pytest.mark.parametrize("group", ["files", "token", "db", "webhooks", "audit", "keys"])
def test_a_group_of_commands_without_one_shows_which_there_are(carecase: Carecase, group: str) -> None:
    ran = carecase(group)
    assert ran.status == 2
    shown = ran.out + ran.err
    assert f"carecase {group} [OPTIONS] COMMAND" in shown
    assert "Commands:" in shown


@pytest.mark.parametrize("count", [1, 2, 300])
def test_what_is_generated_keeps_every_rule_and_every_kind_of_field_is_in_it(carecase: Carecase, count: int) -> None:
    ran = carecase("generate", str(count))
    assert (ran.status, ran.err) == (0, "")
    cases = json.loads(ran.out)
    assert [case["case_Key"] for case in cases] == list(range(1, count + 1))
    assert ran.out.count("\n") == count, "a line for each"
    for case in cases:
        assert isinstance(judge(json.dumps(case), ANYBODY), dict)
    used = {name for case in cases for name, value in case.items() if value is not None}
    audit = {"entry_Date", "entry_User", "update_Date", "update_User", "case_Close_Reason"}
    if count == 300:
        assert {field["field"] for field in TABLE} - used == audit
        assert {case["carePlan_Key"] for case in cases} == {1, 2, 3, 5, 8}
        assert {case["do_Not_Contact"] for case in cases} == {True, False}
        assert {case["case_End_Date"] is None for case in cases} == {True, False}
        assert {case["case_Priority"] for case in cases} == {1, 2, 3, 4, 5}
        assert {case["member_Seq"] for case in cases} == {"01", "02", "03", "04"}
        assert all(0 <= case["case_Score"] <= 100 for case in cases)
        starts = [datetime.fromisoformat(case["case_Start_Date"]) for case in cases]
        assert min(starts) >= datetime(2020, 1, 1, tzinfo=UTC)
        assert max(starts) < datetime(2026, 1, 1, tzinfo=UTC)
        assert len(set(starts)) > 290


def test_the_same_seed_gives_the_same_cases(carecase: Carecase) -> None:
    usual, one, two = (carecase("generate", "20", *more).out for more in ((), ("--seed", "1"), ("--seed", "2")))
    assert usual == one != two
    planned = json.loads(carecase("generate", "20", "--care-plan", "0").out)
    assert {case["carePlan_Key"] for case in planned} == {0}


@pytest.mark.parametrize("count", ["0", "10000001", "-1", "x"])
def test_how_many_are_generated_has_bounds(carecase: Carecase, count: str) -> None:
    ran = carecase("generate", "--", count)
    assert (ran.status, ran.out) == (2, "")
    assert "Invalid value for 'count'" in ran.err


def test_an_api_key_is_made_with_what_to_do(carecase: Carecase) -> None:
    ran = carecase("keys", "new", "acme-1_X")
    key = ran.out.splitlines()[1].strip()
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        f"Give this to the client; it is not stored anywhere:\n  {key}\n\n"
        f'Put this into the configuration:\n  [clients.acme-1_X]\n  api_key_sha256 = ["{digest}"]\n'
        "  databases = []  # the databases it may use\n"
        "Then its bearer tokens come from: carecase token new --client acme-1_X\n"
    )
    assert key.startswith("cck_")
    assert len(key) == 4 + 32, "192 bits"
    made = json.loads(carecase("keys", "new", "acme", "--json").out)
    assert made == {"client": "acme", "apiKey": made["apiKey"], "apiKeySha256": made["apiKeySha256"]}
    assert made["apiKey"] != key


@pytest.mark.parametrize(("client", "good"), [("a" * 64, True), ("a" * 65, False), ("", False), ("a b", False)])
def test_a_client_has_a_name_that_a_configuration_can_hold(carecase: Carecase, client: str, good: bool) -> None:
    ran = carecase("keys", "new", client)
    assert ran.status == (0 if good else 2)
    text = f"  clients.{client}: a name has letters, digits, _ and - only, 64 at most\n"
    assert ran.err == ("" if good else f"The configuration has mistakes:\n{text}")


@pytest.fixture
def configured(tmp_path: Path) -> tuple[str, str]:
    """The option that names a configuration with two clients."""
    file = tmp_path / "c.toml"
    clients = "".join(f'[clients.{name}]\ndatabases = ["d"]\n' for name in ("ann", "bob"))
    file.write_text(f'[databases.d]\nurl = "sqlite:///d.sqlite"\n{clients}')
    return "--config", "c.toml"


def claims_of(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, SECRET, ["HS256"]))


@pytest.mark.parametrize(
    ("options", "subject", "lifetime"),
    [
        ((), "ann", timedelta(hours=8)),
        (("--subject", "a"), "a", timedelta(hours=8)),
        (("--subject", "ü" * 20, "--expires", "366d"), "ü" * 20, timedelta(days=366)),
        (("--expires", "1m"), "ann", timedelta(minutes=1)),
    ],
)
def test_a_token_says_who_and_for_how_long(
    carecase: Carecase,
    configured: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    subject: str,
    lifetime: timedelta,
) -> None:
    monkeypatch.setenv("CARECASE_JWT_SECRET", SECRET)
    before = datetime.now(UTC).replace(microsecond=0)
    ran = carecase("token", "new", "--client", "ann", *options, *configured)
    after = datetime.now(UTC)
    assert (ran.status, ran.err) == (0, "")
    claims = claims_of(ran.out.removesuffix("\n"))
    assert (claims["client_id"], claims["sub"]) == ("ann", subject)
    expires = datetime.fromtimestamp(float(str(claims["exp"])), UTC)
    assert before + lifetime <= expires <= after + lifetime
    document = json.loads(carecase("token", "new", "--client", "ann", *options, "--json", *configured).out)
    assert document.keys() == {"token", "id", "client", "subject", "expiresAt"}
    assert claims_of(document["token"])["jti"] == document["id"]
    assert claims["jti"] != document["id"], "each can be revoked by itself"
    assert (document["client"], document["subject"]) == ("ann", subject)
    assert claims_of(document["token"])["exp"] == int(datetime.fromisoformat(document["expiresAt"]).timestamp())


@pytest.mark.parametrize("subject", ["", "a" * 21, "a\n", "\x07", "a\u2028b"])
def test_a_subject_fits_the_audit_fields(
    carecase: Carecase, configured: tuple[str, str], monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    monkeypatch.setenv("CARECASE_JWT_SECRET", SECRET)
    ran = carecase("token", "new", "--client", "ann", "--subject", subject, *configured)
    assert (ran.status, ran.out) == (2, "")
    text = "must have 1 to 20 printable characters: it goes into the audit fields"
    assert " ".join(ran.err.split()).endswith(f"--subject: {text}")


def test_a_token_for_nobody_is_refused(
    carecase: Carecase, configured: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARECASE_JWT_SECRET", SECRET)
    ran = carecase("token", "new", "--client", "eve", *configured)
    assert (ran.status, ran.out) == (2, "")
    text = "clients.eve: is not configured (there are: ann, bob); carecase keys new eve says what to add"
    assert ran.err == f"The configuration has mistakes:\n  {text}\n"
    ran = carecase("token", "new", "--client", "eve")
    assert "(there are: none)" in ran.err


def test_env_exports_what_is_nearby_before_what_the_shell_had(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"URL": "http://old", "TOKEN": "it's old", "API_KEY": "k"}.items():
        monkeypatch.setenv(f"CARECASE_{name}", value)
    ran = carecase("env")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "export CARECASE_URL=http://old\nexport CARECASE_API_KEY=k\nexport CARECASE_TOKEN='it'\"'\"'s old'\n"
    )
    client = {"api_key": "near", "bearer": "b", "databases": ["d"]}
    (tmp_path / ".carecase").mkdir()
    (tmp_path / ".carecase" / "stack.json").write_text(json.dumps({"intake": {"url": "u"}, "clients": [client]}))
    assert json.loads(carecase("env", "--json").out) == {
        "CARECASE_URL": "u", "CARECASE_API_KEY": "near", "CARECASE_TOKEN": "b", "CARECASE_DATABASE": "d",
    }  # fmt: skip


def test_without_a_service_anywhere_it_says_how_to_name_one(carecase: Carecase, tmp_path: Path) -> None:
    ran = carecase("env")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "The service's URL is unknown. Give --url or set CARECASE_URL, or run this where carecase up was started"
        f" (there is no stack.json or .carecase/stack.json in {tmp_path}).\n"
    )


def test_the_schema_of_each_database_is_checked_upgraded_and_reported(carecase: Carecase, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("".join(f'[databases.{name}]\nurl = "sqlite:///{name}.sqlite"\n' for name in ("one", "two")))
    used = f"Configuration used: c.toml (--config), and no variables CARECASE_…. The working directory is {tmp_path}.\n"
    config = ("--config", "c.toml")
    before = carecase("db", "check", *config)
    assert (before.status, before.err) == (1, used)
    lacks = [
        "it is at revision none, not 0001: run carecase db upgrade",
        "it lacks table care_case",
        "it lacks table ingest_ledger",
        "it lacks index ingest_ledger_applied_at",
    ]
    assert before.out.splitlines() == [f"{name}: {what}" for name in ("one", "two") for what in lacks]
    upgraded = carecase("db", "upgrade", "--database", "two", *config)
    assert (upgraded.status, upgraded.out, upgraded.err) == (0, "two: up to date\n", "")
    half = carecase("db", "check", *config)
    assert (half.status, half.err) == (1, used)
    assert half.out.splitlines() == [*(f"one: {what}" for what in lacks), "two: fits"]
    assert carecase("db", "upgrade", *config).out == "one: up to date\ntwo: up to date\n"
    after = carecase("db", "check", *config)
    assert (after.status, after.out, after.err) == (0, "one: fits\ntwo: fits\n", "")
    with closing(sqlite3.connect(tmp_path / "one.sqlite")) as changed:
        changed.execute("ALTER TABLE care_case RENAME COLUMN case_id TO title")
    refused = carecase("db", "upgrade", "--database", "one", *config)
    assert (refused.status, refused.err) == (1, used)
    assert refused.out.splitlines()[0].startswith("one: it lacks column care_case.")
    assert "undo the changes that are named" in refused.out
    current = carecase("db", "current", "--database", "one", *config)
    assert (current.status, current.err) == (0, "")
    assert current.out == "one: database at revision 0001, this version at 0001\n"
    unknown = carecase("db", "check", "--database", "three", *config)
    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err == (
        f"The configuration has mistakes:\n  databases.three: is not configured (there are: one, two)\n{used}"
    )


def test_beside_a_database_that_is_silent_the_others_are_looked_at(carecase: Carecase, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/d"
        (tmp_path / "c.toml").write_text(
            f'[databases.one]\nurl = "{url}"\nconnect_timeout_seconds = 10\n[databases.two]\nurl = "sqlite:///two"\n'
        )
        ran = carecase("db", "current", "--config", "c.toml", "--timeout", "3")
    one, two = ran.out.splitlines()
    assert ran.status == 1
    assert one.startswith(f"one: the answer of databases.one ({url}) did not come within 3 s.")
    assert two == "two: database at revision none, this version at 0001"


@pytest.mark.parametrize("command", [("db", "check"), ("top",)], ids=str)
def test_without_databases_there_is_nothing_to_look_at(carecase: Carecase, command: tuple[str, ...]) -> None:
    ran = carecase(*command)
    assert (ran.status, ran.out) == (2, "")
    mistake = "databases: there are none; configure one as [databases.NAME] with its url"
    assert ran.err.startswith(f"The configuration has mistakes:\n  {mistake}\nConfiguration used: no file")


def test_tables_that_have_not_changed_need_no_revision(carecase: Carecase) -> None:
    ran = carecase("db", "revision", "No change.")
    assert (ran.status, ran.out, ran.err) == (0, "the newest revision lacks nothing\n", "")


def test_the_command_line_says_what_there_is(carecase: Carecase) -> None:
    assert (carecase("--version").out, carecase("--version").status) == (f"carecase {VERSION}\n", 0)
    ran = carecase("--help")
    assert ran.status == 0
    listed = [line.split()[0] for line in ran.out.partition("Commands:\n")[2].splitlines() if line.startswith("  ")]
    assert [name for name in listed if name in COMMANDS.split()] == COMMANDS.split()
    unknown = carecase("sumbit")
    assert (unknown.status, unknown.out) == (2, "")
    assert "sumbit" in unknown.err


def test_beside_a_database_of_a_newer_version_the_others_are_upgraded(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        "".join(f'[databases.{name}]\nurl = "sqlite:///{name}.sqlite"\n' for name in ("one", "two"))
    )
    carecase("db", "upgrade", "--database", "one", "--config", "c.toml")
    with closing(sqlite3.connect(tmp_path / "one.sqlite")) as newer:
        newer.execute("UPDATE carecase_schema SET version_num = '9999'")
        newer.commit()
    ran = carecase("db", "upgrade", "--config", "c.toml")
    one, two = ran.out.splitlines()
    assert (ran.status, two) == (1, "two: up to date")
    assert one.startswith("one: the schema is at revision 9999, newer than this version's 0001")
