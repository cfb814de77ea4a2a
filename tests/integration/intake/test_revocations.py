"""The list of revoked credentials: what its lines mean, and how soon a change of it counts."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path, PosixPath
from threading import Event, Semaphore
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.integration.intake.intakes import an_intake
from tests.services import Services

from carecase_worker.intake.access.revocations import Revocable, Revocations, entries_of, revocations_of
from carecase_worker.settings.sections.access import JwtSettings

REFRESH_S = 5.0
WORDS = "jwt.revoked_file has faults"


class Held:
    """A list in a file, whose clock is moved by hand."""

    def __init__(self, file: Path, text: str) -> None:
        self.file, self.seconds = file, 100.0
        file.write_text(text)
        self.list = Revocations(file, timedelta(seconds=REFRESH_S), lambda: self.seconds)

    def has(self, *values: object) -> list[bool]:
        return [self.list.holds(Revocable.JTI, value) for value in values]


@pytest.mark.parametrize(
    ("text", "entries", "wrong"),
    [
        ("", set(), []),
        ("jti a\n\n  # sub b\n#\n\tsub\tJ. Doe \r\n", {(Revocable.JTI, "a"), (Revocable.SUB, "J. Doe")}, []),
        ("token a\nclient b", {(Revocable.BEARER, "a"), (Revocable.CLIENT, "b")}, []),
        ("api_key c", {(Revocable.API_KEY, "c")}, []),
        ("jti\nuser a\njti: a\njti a", {(Revocable.JTI, "a")}, [1, 2, 3]),
    ],
)  # fmt: skip
def test_a_line_is_a_kind_and_a_value(text: str, entries: set[Any], wrong: list[int]) -> None:
    found, faults = entries_of(text)
    assert (set(found), faults) == (entries, wrong)


def test_a_change_counts_once_the_list_is_looked_at_again(tmp_path: Path) -> None:
    revocations = Held(tmp_path / "list", "jti a")
    assert revocations.has("a", "b", None, 5, ["a"]) == [True, False, False, False, False]
    revocations.file.write_text("jti b, which is longer\njti b")
    revocations.seconds += REFRESH_S - 0.25
    assert revocations.has("a", "b") == [True, False]
    revocations.seconds += 0.25
    assert revocations.has("a", "b") == [False, True]


def test_a_change_that_keeps_size_and_date_counts(tmp_path: Path) -> None:
    revocations = Held(tmp_path / "list", "jti a")
    for _ in range(2):
        assert revocations.has("a", "b") == [True, False]
        revocations.seconds += REFRESH_S
    found = revocations.file.stat()
    with revocations.file.open("r+") as file:
        file.write("jti b")
    os.utime(revocations.file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert revocations.has("a", "b") == [False, True]


class Coarse(PosixPath):
    """A file on a file system whose clock stands: only its size tells that it has changed."""

    found: os.stat_result | None = None
    looks = 0

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self.looks += 1
        self.found = self.found or super().stat(follow_symlinks=follow_symlinks)
        return self.found


def test_of_two_changes_within_a_step_of_the_file_systems_clock_the_second_counts_too(tmp_path: Path) -> None:
    revocations = Held(Coarse(tmp_path / "list"), "jti a")
    assert revocations.has("a", "b") == [True, False]
    revocations.file.write_text("jti b")
    revocations.seconds += REFRESH_S
    assert revocations.has("a", "b") == [False, True]


def test_requests_that_come_together_look_at_the_list_once(tmp_path: Path) -> None:
    """The second one finds that it is time to look, too, and waits for the first one, which does.

    When the last look was is read before the clock is asked, so that both find none, whoever is faster then.
    """
    file, asked, go_on = Coarse(tmp_path / "list"), Semaphore(0), Event()
    file.write_text("jti a")

    def seconds() -> float:
        asked.release()
        assert go_on.wait(60)
        return 100.0

    revocations = Revocations(file, timedelta(seconds=REFRESH_S), seconds)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(revocations.holds, Revocable.JTI, "a") for _ in range(2)]
        assert all(asked.acquire(timeout=60) for _ in futures), "both are about to look"
        go_on.set()
        assert [future.result(60) for future in futures] == [True, True]
    assert file.looks == 1


class Slow(PosixPath):
    """A file that is read for as long as a test likes."""

    begun: Event
    may_end: Event

    def read_text(self, *arguments: Any, **options: Any) -> str:
        self.begun.set()
        assert self.may_end.wait(60)
        return super().read_text(*arguments, **options)


def test_whoever_comes_while_the_list_is_read_waits_for_what_it_says(tmp_path: Path) -> None:
    file, asked = Slow(tmp_path / "list"), Semaphore(0)
    file.begun, file.may_end = Event(), Event()
    file.write_text("jti a")

    def seconds() -> float:
        asked.release()
        return 100.0

    revocations = Revocations(file, timedelta(seconds=REFRESH_S), seconds)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(revocations.holds, Revocable.JTI, "a")
        assert file.begun.wait(60)
        while asked.acquire(blocking=False):
            pass
        second = pool.submit(revocations.holds, Revocable.JTI, "a")
        assert asked.acquire(timeout=60), "it looks if it is time to"
        file.may_end.set()
        assert (first.result(60), second.result(60)) == (True, True)


def rewritten(file: Path) -> None:
    (file.parent / "other").write_text("jti b")
    (file.parent / "other").replace(file)


def emptied(file: Path) -> None:
    file.write_text("")


@pytest.mark.parametrize(("change", "expected"), [(rewritten, [False, True]), (emptied, [False, False])])
def test_a_list_may_be_replaced_or_emptied(
    tmp_path: Path, change: Callable[[Path], None], expected: list[bool]
) -> None:
    revocations = Held(tmp_path / "list", "jti a")
    assert revocations.has("a", "b") == [True, False]
    revocations.seconds += REFRESH_S
    assert revocations.has("a", "b") == [True, False]
    revocations.seconds += REFRESH_S
    change(revocations.file)
    assert revocations.has("a", "b") == expected


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "cannot be read (No such file or directory)"),
        (lambda file: file.write_bytes(b"jti \xff"), "cannot be read (it is not text)"),
    ],
)
def test_what_is_revoked_stays_so_while_the_list_cannot_be_read(
    tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    revocations = Held(tmp_path / "list", "jti a")
    assert revocations.has("a") == [True]
    damage(revocations.file)
    with capture_logs() as logs:
        for _ in range(3):
            revocations.seconds += REFRESH_S
            assert revocations.has("a", "b") == [True, False]
    assert logs == [{"event": WORDS, "reason": reason, "log_level": "error"}], "it is said once"
    revocations.file.write_text("jti b")
    revocations.seconds += REFRESH_S
    assert revocations.has("a", "b") == [False, True]
    assert revocations.list.faults == ()


def test_a_list_that_can_be_read_again_unchanged_has_no_fault_any_more(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    revocations = Held(place / "list", "jti a")
    for _ in range(2):  # a change is read twice
        assert revocations.has("a") == [True]
        revocations.seconds += REFRESH_S
    place.rename(tmp_path / "elsewhere")
    assert revocations.has("a") == [True]
    faults = [*revocations.list.faults]
    (tmp_path / "elsewhere").rename(place)
    revocations.seconds += REFRESH_S
    assert revocations.has("a") == [True]
    assert (faults, revocations.list.faults) == (["cannot be read (No such file or directory)"], ())


def test_a_line_that_is_no_entry_is_reported_and_the_others_count(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("jti a\nnonsense\njti b")
    with capture_logs() as logs:
        made = revocations_of(JwtSettings.model_validate({"revoked_file": tmp_path / "list"}))
    fault = "line 2 is not an entry: give kind and value, as jti ID"
    assert made.faults == (fault,)
    assert [line["reason"] for line in logs] == [fault]
    assert made.holds(Revocable.JTI, "b")
    assert not revocations_of(JwtSettings()).holds(Revocable.JTI, "a")


def test_access_is_revoked_while_the_intake_runs(servers: Services, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("")
    jwt = {"revoked_file": str(tmp_path / "list"), "revoked_refresh_seconds": 0.001}
    with (
        an_intake(servers.redis_url, "revoked:", jwt=jwt) as intake,
        intake.client() as ann,
        intake.client("bob") as bob,
    ):
        assert (ann.get("/jobs").status_code, bob.get("/jobs").status_code) == (200, 200)
        (tmp_path / "list").write_text("sub user of ann\n")
        response = ann.get("/jobs")
        assert (response.status_code, bob.get("/jobs").status_code) == (401, 200)
        assert response.json()["error"]["detail"].startswith("The access of the token's subject has been revoked.")
        (tmp_path / "list").write_text("")
        assert ann.get("/jobs").status_code == 200
