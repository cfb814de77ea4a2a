"""Children of `carecase up`: started, waited for, started again when they die, stopped; and what is said of them."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.acceptance.system import eventually

from carecase_worker.clock import monotonic, system_sleep
from carecase_worker.embedded.children import Child, Children, Command, run_as, tail
from carecase_worker.errors import StackError, StackStopped

SLEEPS = "echo $NAME has begun; exec sleep 600"
STUBBORN = "trap '' TERM; sleep 600 & echo stubborn; while true; do sleep 0.1; done"
ON_INT = "trap 'echo interrupted; exit 0' INT; echo waiting; while true; do sleep 0.1; done"


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(system_sleep)
    yield made
    made.stop(0)


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Command]:
    """Makes a command of a shell script; its log has the role's name."""

    def make(role: str, script: str, **more: object) -> Command:
        environment = {"PATH": os.environ["PATH"], "NAME": role}
        return Command(role, ["sh", "-c", script], environment, tmp_path / f"{role}.log", **more)  # type: ignore[arg-type]

    return make


def log_of(child: Child) -> str:
    return child.command.log.read_text()


def test_a_child_runs_with_its_environment_and_writes_to_its_log(
    children: Children, command: Callable[..., Command]
) -> None:
    one = children.start(command("worker", f"env | sort; {SLEEPS}"))
    two = children.start(command("worker", SLEEPS))
    other = children.start(command("intake", f"echo to stderr >&2; {SLEEPS}"))
    eventually(lambda: log_of(other) == "to stderr\nintake has begun\n")
    eventually(lambda: log_of(one).count("worker has begun\n") == 2)
    names = [line.partition("=")[0] for line in log_of(one).splitlines() if "=" in line]
    assert set(names) - {"_", "PWD", "OLDPWD", "SHLVL"} == {"PATH", "NAME"}
    assert children.pids() == {"worker": [one.process.pid, two.process.pid], "intake": [other.process.pid]}
    assert os.getsid(one.process.pid) == one.process.pid, "Ctrl-C in the terminal is not for it"


def test_a_program_that_is_not_there_is_reported(children: Children, tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        children.start(Command("redis", ["/no/such/program"], {}, tmp_path / "redis.log"))
    assert str(raised.value) == "redis: /no/such/program cannot be started (No such file or directory)"
    assert children.running == []


def test_what_comes_before_a_start_comes_before_each_start(children: Children, command: Callable[..., Command]) -> None:
    begun: list[int] = []
    child = children.start(command("a", SLEEPS, before_start=lambda: begun.append(1)))
    assert begun == [1]
    child.process.kill()
    eventually(children.restart_exited)
    assert begun == [1, 1]


def test_it_waits_until_a_child_is_ready(children: Children, command: Callable[..., Command]) -> None:
    child = children.start(command("a", SLEEPS))
    asked: list[bool] = []

    def ready() -> bool:
        asked.append("has begun" in log_of(child))
        return asked[-1]

    children.wait_ready(child, ready, 60)
    assert asked[-1]
    assert not any(asked[:-1])


def test_a_child_that_ends_while_it_is_waited_for_is_reported_with_the_end_of_its_log(
    children: Children, command: Callable[..., Command]
) -> None:
    good = children.start(command("good", SLEEPS))
    bad = children.start(command("bad", "for n in $(seq 20); do echo line $n; done; exit 3"))
    with pytest.raises(StackError) as raised:
        children.wait_ready(good, lambda: False, 60)
    lines = "\n".join(f"  line {n}" for n in range(6, 21))
    assert str(raised.value) == f"bad ended at once.\nThe end of {bad.command.log}:\n{lines}"


def test_a_child_that_is_late_is_reported_with_the_end_of_its_log(
    children: Children, command: Callable[..., Command]
) -> None:
    child = children.start(command("slow", SLEEPS))
    eventually(lambda: log_of(child))
    with pytest.raises(StackError) as raised:
        children.wait_ready(child, lambda: False, 0.2)
    text = f"slow was not ready after 0 s.\nThe end of {child.command.log}:\n  slow has begun"
    assert str(raised.value) == text
    with pytest.raises(StackError) as raised:
        children.wait_for("the turn", lambda: False, 0)
    assert str(raised.value) == "the turn was not ready after 0 s."


@pytest.mark.parametrize("is_ready", [True, False])
def test_who_is_stopped_waits_no_longer(is_ready: bool) -> None:
    children = Children(system_sleep, stopped=lambda: True)
    with pytest.raises(StackStopped):
        children.wait_for("something", lambda: is_ready, 60)


def test_what_dies_is_started_again_and_nothing_else(children: Children, command: Callable[..., Command]) -> None:
    one, two = children.start(command("a", SLEEPS)), children.start(command("b", SLEEPS))
    before = children.pids()
    assert not children.restart_exited()
    assert children.pids() == before
    eventually(lambda: log_of(one) == "a has begun\n", what="it has begun")
    one.process.kill()
    eventually(children.restart_exited)
    assert one.process.pid not in before["a"]
    assert children.pids() == {"a": [one.process.pid], "b": [two.process.pid]} != before
    assert not children.restart_exited()
    eventually(lambda: log_of(one) == "a has begun\n" * 2, what="the log goes on")


def test_what_dies_young_is_not_started_again_at_once(children: Children, command: Callable[..., Command]) -> None:
    child = children.start(command("a", "exit 1"))
    child.process.wait()
    child.started = monotonic()
    assert not children.restart_exited(), "it would be started without end"
    died = child.started
    eventually(children.restart_exited)
    assert child.started > died, "its age counts from its own start"
    child.process.wait()
    child.started = monotonic()
    assert not children.restart_exited(), "nor is it the next time"
    old = children.start(command("b", SLEEPS))
    old.started = monotonic() - 2
    old.process.kill()
    old.process.wait()
    assert children.restart_exited(), "it has lived for more than a second"


def test_what_is_stopped_goes_and_the_rest_stays(children: Children, command: Callable[..., Command]) -> None:
    stays, goes = children.start(command("redis", SLEEPS)), children.start(command("worker", SLEEPS))
    asked = children.start(command("postgresql", ON_INT, stop_signal=signal.SIGINT))
    eventually(lambda: log_of(asked) == "waiting\n")
    children.stop(60, but=("redis", "nobody"))
    assert (goes.process.returncode, asked.process.returncode) == (-signal.SIGTERM, 0)
    assert log_of(asked) == "waiting\ninterrupted\n"
    assert stays.process.poll() is None
    assert children.running == [stays]


def test_what_does_not_stop_in_time_is_killed_with_what_it_started(
    children: Children, command: Callable[..., Command]
) -> None:
    child = children.start(command("a", STUBBORN))
    eventually(lambda: log_of(child) == "stubborn\n")
    family = psutil.Process(child.process.pid).children()
    children.stop(0.3)
    assert child.process.returncode == -signal.SIGKILL
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family))
    assert children.running == []


def test_what_has_ended_already_is_stopped_without_a_word(children: Children, command: Callable[..., Command]) -> None:
    child = children.start(command("a", "exit 3"))
    child.process.wait()
    children.stop(60)
    assert (child.process.returncode, children.running) == (3, [])


def test_children_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from carecase_worker.clock import system_sleep
from carecase_worker.embedded.children import Children, Command
command = Command("a", ["sleep", "600"], {{"PATH": "/usr/bin:/bin"}}, Path("{tmp_path}/log"))
child = Children(system_sleep).start(command)
print(child.process.pid, flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert tail(log) == f"(there is nothing in {log})"
    log.write_bytes(b"one\ntwo\n\xff three\n")
    assert tail(log, 2) == f"The end of {log}:\n  two\n  \ufffd three"


def test_a_program_runs_as_another_user_with_its_group_alone() -> None:
    root = pwd.getpwnam("root")
    assert run_as(None) == {}
    assert run_as(root) == {"user": 0, "group": 0, "extra_groups": []}
