"""The locks of files, as Linux shows them."""

import os
from pathlib import Path


def waits_for_a_lock() -> bool:
    """Tell whether Linux has this process wait for somebody else's lock."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(line[2] == "FLOCK" and line[5] == str(os.getpid()) for line in waiting)
