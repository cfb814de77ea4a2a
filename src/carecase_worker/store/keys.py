"""Every Redis key of the job store: pattern, type, content, lifetime, writers.

key  (type; lifetime; written by), then its content:

job:{job}  (hash; twice the retention once final; admit, place, claim, complete, release, cancel, purge, settle,
rewrap)
    the job record, see `job.py`; its `data_key` opens payloads and results, and is destroyed with the field or record
payload:{job}  (hash; a chunk's until complete; retryable ones as long as the result, or until resubmitted;
stage, discard, admit, complete, purge)
    chunk number -> packed items
outcome:{job}  (hash; the retention once final; complete, purge)
    chunk number -> packed outcomes
tally:{job}  (hash; the retention once final; complete, purge)
    chunk number -> the number of its items by outcome, in the order of the job's counts
lease:{job}  (hash; a chunk's until complete; place, claim, release, complete, reclaim)
    `{n}:until`, `{n}:holder`, `{n}:deaths`, `{n}:releases`, `{n}:faults`, `{n}:too_slow`, `{n}:isolation`
settled:{database}  (string; for ever; settle)
    the highest place in the order of acceptance in the database when this Redis first saw it
trouble:{database}  (hash; until the database answers; release, complete)
    `reason`: the last failure of its chunks; `since_ms`
failing:{database}  (hash; for ever; release, complete)
    the clock of its failures: `ms` of its reading at the last one, `last_ms`, the time of that
due:{database}  (zset; a chunk's from opened to complete; admit, place, claim, complete, release, cancel, overdue,
reclaim)
    `{job}:{n}` -> ms at which to notify again; the first chunk of an unplaced job represents the job
ready:{database}  (zset; a small chunk's from opened to claimed; admit, place, complete, cancel, overdue, claim)
    `{job}:{n}` -> its job's place in the order of acceptance
awake:{database}  (string; some milliseconds; admit, place, claim, complete, cancel)
    exists while a process is expected to look for ready chunks
joined:{database}  (string; some milliseconds; place, complete)
    exists after another process was notified because one could not claim all ready chunks
seq:{database}  (string; for ever; admit, settle)
    the last place in the order of acceptance: max(Redis's time in ms, previous + 1)
keys:{job}  (string; until final; admit, complete)
    the set of its cases' keys, see `key_sets.py`
open:{database}  (zset; a job's until it is final; admit, complete, settle)
    `{job}|{care plan}` -> its place in the order of acceptance
plans:{database}  (hash; a care plan's while it has open jobs; admit, complete)
    care plan of the path, or "" -> how many jobs are open
unplaced:{database}  (zset; a job's until it is placed; admit, place, complete, settle)
    job -> its place in the order of acceptance; the earlier jobs that it must wait for are not determined yet
after:{job}  (set; until final; place, complete)
    jobs that wait for this one; `waits` in a job's record is the number of its open waits
behind:{database}  (zset; a job's until that place is passed; place, complete, settle)
    a job that waits for all jobs up to a place in the order of acceptance -> that place
working:{database}  (set; a job's from opened to final; admit, place, cancel, complete)
    jobs that are being applied
holding  (hash; an entry while a process holds a chunk; place, claim, release, complete, reclaim)
    `{job}:{n}` -> holder
circuit:{database}  (string; as long as its circuit is not closed; place, claim, release, complete, overdue,
reclaim)
    empty while the circuit is open; when half open, the process that probes the database
failures:{database}  (string; until the database answers; release, complete)
    consecutive attempts that could not reach it
pace:{database}  (hash; for ever; admit, complete)
    `open` items, the measured rate, and the time of the last completed chunk
backlog:{database}  (hash; for ever; admit, complete)
    `jobs` and `bytes` not final yet
busy  (set; while there are; admit, complete)
    databases with jobs that are not final
stats  (hash; for ever; complete)
    `{database}|{count}` -> total items; items of dry runs count under `dry_run` only
measures  (hash; for ever; claim, place, complete, reclaim)
    `{database}|{what}` -> totals: `lease_expired`, `reclaimed`; histograms of the time from acceptance, `waited` until
    the first attempt and `final`, each as `|{upper bound of the bucket in ms, or inf}`, and `|us`, the sum; see
    `measures.py`
idem:{client}:{digest}  (string; as long as the result; admit, complete, purge, rewrap)
    `{fingerprint}|{job}`; both digests are keyed where there are encryption keys
jobs:{database}:{client}  (zset; entries until the result expires; admit, and every script that counts)
    job -> us of acceptance
kept:{database}  (hash; for ever; stage, discard, admit, complete, purge, and every script that counts)
    `jobs`, open or with a result; `bytes` of these, of staged chunks and of records; `done`, the part of the
    bytes that is results and records; each for all clients, and per client as `jobs:{client}`...;
    `staged:{job}`: of an upload
leaving:{database}  (zset; entries until they expire; stage, discard, admit, complete, purge, every script that counts)
    `{client}|{job}|{staged, result or record}|{bytes}` -> ms at which it expires: then the next script that counts
    (stage, admit, complete, overdue, list) subtracts it from `kept`; a sweep of a worker calls `overdue` for it
final  (channel; complete)
    `{job}|{client}` of each job that became final
progress  (channel; complete, release, cancel)
    `{job}|{client}` of each job with another change; nothing is published for a job of one chunk that succeeds
events:{webhook}:{job}  (list; twice the retention after the last event; complete, release, delivered, replay)
    events of a job to deliver to a webhook, in order, as `{number}|{event}|{us}|{database}|{total}` and
    the job's counts
outbox:{webhook}  (zset; a job's while it has such events; complete, release, deliver, delivered, replay)
    job -> ms at which to deliver its next event
delivering:{webhook}  (string; a lease; deliver, delivered)
    the worker that delivers to it
paused:{webhook}  (string; as long as an overloaded receiver asks; delivered, replay)
    exists while nothing is delivered to it
attempts:{webhook}  (hash; entries until delivered or given up; delivered)
    job -> attempts at its next event that have failed
undelivered:{webhook}  (zset; the newest ones, up to a setting; delivered, replay)
    `{job}|{event as above}` -> ms at which it was given up
webhook:{webhook}  (hash; for ever; delivered, replay)
    `delivered`, `attempts_failed`, `given_up` and `dropped`: totals; `failing_since_ms` and `reason` of the last
    attempts; `disabled_ms`: when the webhook was disabled
housekeeping:{what}  (string; until the task is due again; try_acquire, try_write)
    exists while a housekeeping task is not due; `write`: for a second after a test write
rate:{client}  (string; a minute after the bucket is full again; spend)
    the time, in us, at which it is full
workers  (zset; entries a minute; seen, unseen)
    worker -> ms last seen
clocks  (hash; entries as long as those of workers; seen, unseen)
    worker -> ms by which its host's clock is ahead of Redis's

All times are by Redis's clock.

Jobs under the same care plan in the path (or all without one) commute: the newest version of a case wins. Jobs of
different care plans that share a case do not, since a care plan's guard depends on the order: the later job waits until
the earlier one is final (decision 0043). A dry run is not part of the order: `seq`, `keys`, `open`, `plans`,
`unplaced`, `after` and `behind` have no entry for it (decision 0045).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the keys, under one prefix."""

    prefix: str

    def job(self, job_id: str) -> str:
        """Return the key of a job's record."""
        return f"{self.prefix}job:{job_id}"

    def payload(self, job_id: str) -> str:
        """Return the key of the chunks that are not applied yet."""
        return f"{self.prefix}payload:{job_id}"

    def outcome(self, job_id: str) -> str:
        """Return the key of the outcomes of applied chunks."""
        return f"{self.prefix}outcome:{job_id}"

    def tally(self, job_id: str) -> str:
        """Return the key of the tallies of a job's chunks."""
        return f"{self.prefix}tally:{job_id}"

    def due(self, database: str) -> str:
        """Return the key of the open chunks of a database."""
        return f"{self.prefix}due:{database}"

    def idempotency(self, client: str, digest: str) -> str:
        """Return the key of a client's idempotency record."""
        return f"{self.prefix}idem:{client}:{digest}"

    def kept(self, database: str) -> str:
        """Return the key of the usage of a database, in all and by client."""
        return f"{self.prefix}kept:{database}"

    def leaving(self, database: str) -> str:
        """Return the key of what counts as stored in a database until it expires."""
        return f"{self.prefix}leaving:{database}"

    def key_set(self, job_id: str) -> str:
        """Return the key of the key set of a job."""
        return f"{self.prefix}keys:{job_id}"

    def open(self, database: str) -> str:
        """Return the key of the jobs of a database that are not final, in order of acceptance."""
        return f"{self.prefix}open:{database}"

    def unplaced(self, database: str) -> str:
        """Return the key of the open jobs that are not placed yet."""
        return f"{self.prefix}unplaced:{database}"

    def jobs(self, database: str, client: str) -> str:
        """Return the key of a client's jobs of a database by time of acceptance."""
        return f"{self.prefix}jobs:{database}:{client}"

    def pace(self, database: str) -> str:
        """Return the key of the open items and the rate of a database."""
        return f"{self.prefix}pace:{database}"

    def settled(self, database: str) -> str:
        """Return the key of the highest place in a database when this Redis first saw it."""
        return f"{self.prefix}settled:{database}"

    def trouble(self, database: str) -> str:
        """Return the key of the last failure of a database."""
        return f"{self.prefix}trouble:{database}"

    def failures(self, database: str) -> str:
        """Return the key of the number of consecutive attempts that could not reach a database."""
        return f"{self.prefix}failures:{database}"

    def backlog(self, database: str) -> str:
        """Return the key of the numbers of jobs and bytes of a database that are not final yet."""
        return f"{self.prefix}backlog:{database}"

    def circuit(self, database: str) -> str:
        """Return the key that exists while the circuit of a database is not closed."""
        return f"{self.prefix}circuit:{database}"

    def housekeeping(self, what: str) -> str:
        """Return the key that exists while a housekeeping task is not due."""
        return f"{self.prefix}housekeeping:{what}"

    def outbox(self, webhook: str) -> str:
        """Return the key of the jobs with events to deliver to a webhook."""
        return f"{self.prefix}outbox:{webhook}"

    def undelivered(self, webhook: str) -> str:
        """Return the key of the events of a webhook that were given up."""
        return f"{self.prefix}undelivered:{webhook}"

    def paused(self, webhook: str) -> str:
        """Return the key that exists while nothing is delivered to a webhook."""
        return f"{self.prefix}paused:{webhook}"

    def webhook(self, webhook: str) -> str:
        """Return the key of the state of a webhook."""
        return f"{self.prefix}webhook:{webhook}"

    @property
    def holding(self) -> str:
        """Key of the holders of chunks."""
        return f"{self.prefix}holding"

    @property
    def final(self) -> str:
        """Channel of jobs that became final, each with its client."""
        return f"{self.prefix}final"

    @property
    def progress(self) -> str:
        """Channel of jobs with any other change, each with its client."""
        return f"{self.prefix}progress"

    @property
    def busy(self) -> str:
        """Key of the databases with jobs that are not final."""
        return f"{self.prefix}busy"

    @property
    def stats(self) -> str:
        """Key of the total numbers of items, by database and count."""
        return f"{self.prefix}stats"

    @property
    def measures(self) -> str:
        """Key of the durations of jobs and the events of chunks, by database."""
        return f"{self.prefix}measures"

    @property
    def workers(self) -> str:
        """Key of the workers by when they were last seen."""
        return f"{self.prefix}workers"

    @property
    def clocks(self) -> str:
        """Key of the offsets of the workers' clocks."""
        return f"{self.prefix}clocks"
