"""What embedded systems of tests are made with."""

from datetime import UTC, datetime

from carecase_worker.embedded.stack import Ports

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
PORTS = Ports(intake=8081, flower=5556, redis=6380, postgres=5433)


class Noon:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW
