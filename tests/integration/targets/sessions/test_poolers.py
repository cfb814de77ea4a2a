"""A pooler that lends sessions is refused, since it loses locks and settings."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.integration.targets.databases import tenant
from tests.integration.targets.sessions.writing import write
from tests.needs import need
from tests.ports import free_port

from carecase_worker.errors import SettingsError, TargetFailure
from carecase_worker.targets.startup import look_at


@pytest.fixture
def pooled(url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the database through a pooler that lends sessions for a transaction."""
    program = need("pgbouncer", "Debian's pgbouncer")
    server, port = urlsplit(url), free_port()
    (tmp_path / "users.txt").write_text(f'"{server.username}" "{server.password}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {tmp_path}/users.txt\npool_mode = transaction\n"
    )
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)
    process = subprocess.Popen([program, "--quiet", "--user", "nobody", str(tmp_path / "pgbouncer.ini")])
    try:
        yield url.replace(f":{server.port}/", f":{port}/")
    finally:
        process.terminate()
        process.wait(60)


def test_a_pooler_that_lends_sessions_is_refused(pooled: str) -> None:
    """Deadlines that are set for a session would hold for somebody else's, and not for ours."""

    def message() -> str:
        with pytest.raises(TargetFailure) as failure:
            write(pooled, "", a_case(1))
        return str(failure.value)

    assert "a connection pooler lends out sessions" in eventually(
        lambda: "refuses connections" not in message() and message()
    )
    with pytest.raises(SettingsError, match=r"databases\.d: a connection pooler lends out sessions"):
        look_at({"d": tenant(pooled)})
