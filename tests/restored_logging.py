"""The logging configuration of the tests' process, restored after a test that was the first to configure it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_LOGGER = type(structlog.get_logger())


@contextmanager
def restored() -> Iterator[None]:
    """Restore structlog's defaults and the root logger: a command that ran in this process had it write to a file that
    is closed by then. Levels of other loggers stay.
    """
    was_configured, root = structlog.is_configured(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured() == was_configured:
        return
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, module in list(sys.modules.items()):
        if name.startswith("carecase_worker."):
            for held in vars(module).values():
                if isinstance(held, _LOGGER):
                    vars(held).pop("bind", None)  # how a logger remembers the configuration of its first use
