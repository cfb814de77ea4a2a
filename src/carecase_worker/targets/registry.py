"""The writers of one process, by database."""

from collections.abc import Mapping
from datetime import timedelta

from carecase_worker.errors import TargetFailure
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.state import require_fitting
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.writer import LONGEST, Writer


class Targets:
    """The writers of one process, one for each target database."""

    def __init__(self, tenants: Mapping[str, Tenant], longest: timedelta = LONGEST) -> None:
        """Serve tenants; no attempt at a chunk keeps a database busy for more than `longest`, whatever its settings."""
        self._tenants = tenants
        self._longest = longest
        self._writers: dict[str, Writer] = {}

    def writer(self, database: str) -> Writer:
        """Return the writer of a database. Raises TargetFailure."""
        if database not in self._writers:
            self._writers[database] = self.own_writer(database)
        return self._writers[database]

    def own_writer(self, database: str) -> Writer:
        """Return a writer with its own connection, for a forked process. Raises TargetFailure."""
        settings = self._tenants[database].database
        longest = min(settings.statement_timeout, self._longest)
        engine = engine_for(Tenant(database, settings.model_copy(update={"statement_timeout": longest})))
        try:
            require_fitting(engine)
        except TargetFailure:
            engine.dispose()
            raise
        return Writer(engine, dialect_of(engine).writing.upsert, database, longest)

    def disconnect(self, database: str) -> None:
        """Drop the connections to a database, in whatever state they are."""
        writer = self._writers.pop(database, None)
        if writer is not None:
            writer.close()
