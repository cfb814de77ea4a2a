"""Whether the process that holds a chunk is still alive."""

import subprocess
from pathlib import Path

from carecase_worker.worker.holder import is_dead, own_name


def test_a_living_process_is_not_dead() -> None:
    assert not is_dead(own_name())


def test_a_process_is_dead_as_soon_as_it_has_ended_whether_or_not_its_parent_has_noticed() -> None:
    machine = own_name().partition(":")[0]
    child = subprocess.Popen(["sleep", "60"])
    started = name_of(machine, child.pid)
    assert not is_dead(started)
    child.kill()
    while ") Z" not in Path(f"/proc/{child.pid}/stat").read_text():
        pass
    assert is_dead(started), "it is a zombie now"
    child.wait()
    assert is_dead(started), "it is gone now"


def test_a_process_of_another_machine_or_namespace_is_never_taken_for_dead() -> None:
    assert not is_dead("elsewhere/4026531836:1:1")


def name_of(machine: str, pid: int) -> str:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{machine}:{pid}:{started}"
