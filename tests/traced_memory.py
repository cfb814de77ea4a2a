"""The memory that Python takes for a block, counted by tracemalloc."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Memory:
    """Bytes that the block left behind, and the most that it had at one time; both are 0 within the block."""

    left: int = 0
    most: int = 0

    @property
    def now(self) -> int:
        """Bytes that the block has at this time; only within it."""
        return tracemalloc.get_traced_memory()[0]


@contextmanager
def traced_memory() -> Iterator[Memory]:
    """Count from here to the end of the block, and nothing afterwards, however the block ends."""
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.left, memory.most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
