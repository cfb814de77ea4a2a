"""The texts of the verbs' Lua scripts."""

from importlib import resources

VERBS = (
    "stage", "discard", "admit", "place", "claim", "complete", "release", "cancel", "purge", "overdue", "bury",
    "settle", "list", "seen", "spend", "rewrap",
)  # fmt: skip


def script_of(verb: str) -> str:
    """The text of a verb: its first line, then what the verbs share, then its own.

    The first line makes Redis refuse the whole script where it would refuse one of its writes: nothing is half done.
    When memory is full only stage and admit are refused; the others make room.
    """
    shebang, _, own = _text(verb).partition("\n")
    return f"{shebang}\n{_text('prelude')}\n{_text('chunks')}\n{own}"


def _text(name: str) -> str:
    return (resources.files("carecase_worker.jobs") / "lua" / f"{name}.lua").read_text("utf-8")
