"""Files of SQLite, as somebody else sees them."""

import sqlite3
from pathlib import Path


def keys_in(path: Path) -> list[int]:
    """The keys in a file, as somebody else reads it."""
    connection = sqlite3.connect(path)
    keys = [key for (key,) in connection.execute("SELECT case_key FROM care_case ORDER BY 1")]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return keys
