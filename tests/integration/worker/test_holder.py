"""Whether the process that holds a chunk is still alive."""

import os
import socket
import subprocess
from pathlib import Path

from carecase_worker.worker.processes.process_identity import is_dead, is_of_this_machine, own_name


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
    machine = own_name().partition(":")[0]
    for elsewhere in (f"elsewhere/{machine.partition('/')[2]}", f"{machine}0", machine.rpartition("/")[0], ""):
        assert not is_dead(f"{elsewhere}:{os.getpid()}:1")
        assert not is_of_this_machine(name_of(elsewhere, os.getpid()))


def test_a_process_that_has_the_number_of_one_that_is_gone_is_not_taken_for_it() -> None:
    machine = own_name().partition(":")[0]
    assert is_dead(f"{machine}:{os.getpid()}:1")
    assert not is_of_this_machine(f"{machine}:{os.getpid()}:1")
    assert is_of_this_machine(own_name())


def test_a_holder_whose_name_has_no_time_of_start_may_be_anybody() -> None:
    assert not is_dead(f"{own_name().partition(':')[0]}:{2**22 + 1}")


def test_a_name_is_that_of_no_other_process_machine_or_start_of_it() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink().name.partition(":")[2]
    assert own_name() == name_of(f"{socket.gethostname()}/{boot}/{namespace}", os.getpid())


def name_of(machine: str, pid: int) -> str:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{machine}:{pid}:{started}"
