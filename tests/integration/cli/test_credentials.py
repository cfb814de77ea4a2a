"""Credentials of the command line: where they go, and who sees them on the machine."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.integration.cli.commands import Carecase

from carecase_worker.cli.arguments import credentials_in
from carecase_worker.client.access import Access
from carecase_worker.client.exchange.transport import is_plain
from carecase_worker.settings.loading import process_environment

PLAIN = "is plain http to another host: API key, token and cases would be sent unencrypted."
ELSEWHERE = "http://192.0.2.1:1"


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A service that takes a request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def started(*arguments: str, place: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command, whose input stays open; kill it at the end."""
    command = [sys.executable, "-m", "carecase_worker", *arguments]
    environment = {**process_environment(), **variables}
    with subprocess.Popen(command, cwd=place, env=environment, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        (ELSEWHERE, True), ("http://carecase.example", True), ("http://localhost.example:1", True),
        ("http://0.0.0.0:1", True), ("HTTP://10.0.0.7:1", True), ("http://[2001:db8::1]:1", True),
        ("http://127.0.0.1.example:1", True), ("http://127.0.0.1:1", False), ("http://127.9.9.9:1", False),
        ("http://localhost:1", False), ("http://[::1]:1", False),
        ("https://127.0.0.1:1", False),
    ],
)  # fmt: skip
def test_only_what_leaves_the_machine_without_tls_is_plain(url: str, plain: bool) -> None:
    assert is_plain(Access(url)) is plain


def test_plain_http_to_another_host_is_refused(carecase: Carecase) -> None:
    ran = carecase("jobs", "--url", ELSEWHERE, "--api-key", "k", "--timeout", "1")
    advice = "Use https://, or --insecure if nobody else is on that network."
    assert (ran.status, ran.err) == (2, f"{ELSEWHERE} {PLAIN} {advice}\n")


def test_insecure_lets_it_go(carecase: Carecase, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (server, url):
        monkeypatch.setenv("HTTP_PROXY", url)  # the way to the other host, as far as this machine goes
        ran = carecase("jobs", "--url", ELSEWHERE, "--api-key", "k", "--timeout", "1", "--insecure")
        server.accept()[0].close()
    assert (ran.status, PLAIN in ran.err) == (2, False), ran.err


def test_a_page_nearby_leads_to_this_machine_only(carecase: Carecase, tmp_path: Path) -> None:
    client = {"api_key": "k", "bearer": "b", "databases": ["d"]}
    (tmp_path / "stack.json").write_text(json.dumps({"intake": {"url": "https://192.0.2.1"}, "clients": [client]}))
    for more in ((), ("--insecure",)):
        ran = carecase("jobs", *more)
        assert (ran.status, ran.err) == (
            2,
            "stack.json: names another machine, which carecase up never does. Give --url.\n",
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--api-key", "k", "--api-key-file", "good"),
            "--api-key and --api-key-file are both given. Give one of them.",
        ),
        (("--token", "k", "--token-file", "good"), "--token and --token-file are both given. Give one of them."),
        (("--api-key-file", "none"), "--api-key-file: none cannot be read (No such file or directory)"),
        (("--token-file", "."), "--token-file: . cannot be read (Is a directory)"),
        (("--token-file", "blank"), "--token-file: blank is empty"),
    ],
)
def test_a_file_that_gives_no_credential_is_reported(
    carecase: Carecase, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "good").write_text("k")
    (tmp_path / "blank").write_text(" \n")
    ran = carecase("jobs", *arguments, "--url", "http://127.0.0.1:1")
    assert (ran.status, ran.err) == (2, f"{words}\n")


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["carecase", "jobs"], []),
        (["carecase", "--api-key", "secret", "jobs", "--token", "other"], ["secret", "other"]),
        (["carecase", "--api-key=secret=", "--token="], ["secret=", ""]),
        (["carecase", "--api-key-file", "file", "--tokens", "x", "--token"], [""]),
        (["carecase", "--api-key", "--token", "x"], ["--token"]),
        (["carecase", "--api-key", ""], [""]),
    ],
)
def test_credentials_among_arguments_are_found(arguments: list[str], hidden: list[str]) -> None:
    shown = b"".join(argument.encode() + b"\0" for argument in arguments)
    assert [shown[place : place + length].decode() for place, length in credentials_in(shown)] == hidden


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere arguments cannot be changed")
def test_nobody_on_the_machine_sees_a_credential_among_the_arguments(tmp_path: Path) -> None:
    with listening() as (server, url):
        given = ("--api-key", "the-secret-key", "--token=the-secret-token")
        with started("jobs", "--url", url, *given, place=tmp_path) as process:
            connection, _ = server.accept()
            with connection:
                sent = connection.recv(1 << 16).lower()
                shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"x-api-key: the-secret-key" in sent
    assert b"bearer the-secret-token" in sent
    assert b"secret" not in shown
    assert shown.split(b"\0")[-4:-1] == [b"--api-key", b"x" * 14, b"--token=" + b"x" * 16]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of open files")
def test_what_a_pipe_is_spooled_to_has_no_name_from_the_start(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    line = json.dumps(a_case(1, case_Reason="r" * 5000)).encode() + b"\n"

    def is_spooled(pid: int) -> bool:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        return any(link.startswith(str(spool)) and link.endswith("(deleted)") for link in links)

    with (
        listening() as (_, url),
        started("submit", "-", "--url", url, place=tmp_path, TMPDIR=str(spool)) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(line * ((18 << 20) // len(line)))  # more than is held in memory, less than a part
        process.stdin.flush()
        eventually(lambda: is_spooled(process.pid), what="it is spooled")
        assert list(spool.iterdir()) == []
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert list(spool.iterdir()) == []
