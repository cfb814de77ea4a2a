"""File descriptors that connections need."""

import resource

import pytest

from carecase_worker.intake.limits.descriptors import descriptors_fault

FAULT = (
    "800 connections need 1024 file descriptors, and a process may have {} here;"
    " lower it, or raise the limit (ulimit -n, LimitNOFILE=, ulimits: nofile)"
)


@pytest.mark.parametrize(
    ("hard", "fault"),
    [
        (1023, FAULT.format(1023)),
        (1024, ""),
        (1025, ""),
        (0, FAULT.format(0)),
        (resource.RLIM_INFINITY, ""),
    ],
)
def test_each_connection_has_one_and_all_else_some(hard: int, fault: str) -> None:
    assert descriptors_fault(800, hard) == fault
