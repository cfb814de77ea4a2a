"""Housekeeping in a worker's main process: heartbeat, sweep for missed chunks, purge of ledgers, settled order."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event, Thread

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import monotonic
from carecase_worker.errors import StoreUnavailable, TargetFailure
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.workers.clock_watch import ClockWatch
from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.store.workers.presence import Presence
from carecase_worker.targets.case_versions import seq_of
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.tenants import Tenant
from carecase_worker.telemetry import logger
from carecase_worker.worker.health.signs import Signs

_log = logger("housekeeping")
_PURGE_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The heartbeat, by which intakes and operators know that a worker is there; it also watches this host's clock.

    It needs Redis alone: neither a broker that is away nor a long sweep makes a live worker look dead.
    """

    presence: Presence
    clock_watch: ClockWatch
    worker: str
    signs: Signs

    def once(self) -> None:
        """Record this worker's heartbeat. Raises StoreUnavailable."""
        ahead = self.presence.seen(self.worker)
        self.signs.reached = monotonic()
        self.clock_watch.observe(ahead)

    def sign_off(self) -> None:
        """Deregister this worker. Raises StoreUnavailable; then it stays listed for a minute."""
        self.presence.unseen(self.worker)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The sweep: it takes back the chunks of dead processes, and notifies for overdue chunks of every database."""

    leases: LeaseStore
    workload: Workload
    notifier: Notifier
    databases: Iterable[str]
    is_dead: Callable[[str], bool]
    signs: Signs = field(default_factory=Signs)

    def once(self) -> None:
        """Sweep once; a database that fails delays no other. Raises StoreUnavailable if Redis is unreachable.

        Raises StoreUnavailable for the first database that failed, too, at the end. The next sweep catches up.
        """
        lost: defaultdict[str, list[ChunkRef]] = defaultdict(list)
        for holder in filter(self.is_dead, self.leases.holders()):
            for database, chunk in self.leases.reclaim(holder):
                _log.warning("taken back from dead processes", job_id=chunk.job_id, chunk_no=chunk.chunk_no)
                lost[database].append(chunk)
        all_waiting, failures = 0, list[StoreUnavailable]()
        for database in dict.fromkeys((*self.databases, *lost)):
            try:
                self.notifier.notify(database, lost[database])
                all_waiting += self._notify_overdue(database)
            except StoreUnavailable as failure:
                failures.append(failure)
        if all_waiting or not failures:
            self.signs.waiting = all_waiting > 0
        if failures:
            raise failures[0]

    def _notify_overdue(self, database: str) -> int:
        """Notify for the overdue chunks of a database; return how many notifications were still in its queue."""
        if not self.workload.needs_sweep(database):
            return 0
        waiting = self.notifier.waiting(database)
        overdue = self.leases.overdue(database, waiting)
        self.notifier.notify(database, overdue)
        if overdue:
            _log.info("notified again", database=database, count=len(overdue))
        return waiting


@dataclass(frozen=True, slots=True)
class Purge:
    """The hourly purge of old rows from the ledgers, by one of all workers."""

    intervals: Intervals
    tenants: Mapping[str, Tenant]
    keep: timedelta

    def once(self) -> None:
        """Purge every ledger that is due. Raises StoreUnavailable; unreachable databases are left for next time."""
        for name, tenant in self.tenants.items():
            if not self.intervals.try_acquire(f"purge:{name}", _PURGE_EVERY):
                continue
            engine = engine_for(tenant)
            try:
                purged = purge_ledger(engine, self.keep)
                _log.info("ledger purged", database=name, count=purged)
            except TargetFailure as failure:
                _log.warning("ledger not purged", database=name, reason=str(failure))
            finally:
                engine.dispose()


@dataclass(frozen=True, slots=True)
class Settle:
    """The settling of each database's order of acceptance above the places stored in it, once per Redis.

    A pool process also settles, for a chunk that needs it, but cannot wait while tens of millions of rows are read.
    Each database has its own thread, so that one that hangs does not delay others.
    """

    leases: LeaseStore
    tenants: Mapping[str, Tenant]
    guarded: Callable[[Callable[[], None]], Callable[[], None]]
    """Wrapper that makes a step never raise."""
    busy: dict[str, Thread] = field(default_factory=dict)

    def once(self) -> None:
        """Start settling each database that needs it. Raises StoreUnavailable."""
        for name in self.leases.unsettled(tuple(self.tenants)):
            if name in self.busy and self.busy[name].is_alive():
                continue
            self.busy[name] = Thread(
                target=self.guarded(partial(self._settle, name)), name=f"settle {name}", daemon=True
            )
            self.busy[name].start()

    def _settle(self, name: str) -> None:
        engine = engine_for(self.tenants[name])
        try:
            self.leases.settle(name, seq_of(highest_version(engine, patient=True)))
        except (StoreUnavailable, TargetFailure) as error:
            _log.warning("order of acceptance not settled yet", database=name, reason=str(error))
        finally:
            engine.dispose()


class Repeated:
    """A thread that calls `once` periodically until it is stopped, then `last`."""

    def __init__(self, once: Callable[[], None], last: Callable[[], None], every_s: float) -> None:
        self._once = once
        self._last = last
        self._every_s = every_s
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait at most two seconds for the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._once()
            self._stopped.wait(self._every_s)
        self._last()
