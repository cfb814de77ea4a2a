"""Every Redis key of the job store: pattern, type, content, lifetime, writers.

key  (type; lifetime; written by), then its content:

job:{job}  (hash; twice the retention once final; admit, claim, complete, release, cancel, purge, settle, rewrap)
    the job record, see `job.py`; its `data_key` opens payloads and results, and is destroyed with the field or record
payload:{job}  (hash; a chunk's until complete; retryable ones as long as the result, or until sent again;
stage, discard, admit, complete, purge)
    chunk number -> packed items
outcome:{job}  (hash; the retention once final; complete, purge)
    chunk number -> packed outcomes
tally:{job}  (hash; the retention once final; complete, purge)
    chunk number -> how many of its items had which outcome, in the order of the job's counts
lease:{job}  (hash; a chunk's until complete; claim, release, complete, reclaim)
    `{n}:until`, `{n}:holder`, `{n}:deaths`, `{n}:releases`, `{n}:faults`, `{n}:too_slow`
settled:{database}  (string; for ever; settle)
    the highest place in the order of acceptance that the database held when this Redis first met it
trouble:{database}  (hash; until the database answers; release, complete)
    `reason`: the last failure of its chunks; `since_ms`
due:{database}  (zset; a chunk's from opened to complete; admit, place, claim, complete, release, cancel, overdue,
reclaim)
    `{job}:{n}` -> ms at which to notify again; the first chunk of a job that is to be placed stands for that
ready:{database}  (zset; a small chunk's from opened to claimed; admit, place, complete, cancel, overdue, claim)
    `{job}:{n}` -> its job's place in the order of acceptance
awake:{database}  (string; some milliseconds; admit, place, claim, complete, cancel)
    there while a process is expected to look for what is ready
joined:{database}  (string; some milliseconds; place, complete)
    there after another process was notified, since one could not take all that is ready
seq:{database}  (string; for ever; admit, settle)
    the last place in the order of acceptance: max(Redis's time in ms, previous + 1)
keys:{job}  (string; until final; admit, complete)
    the set of its cases' keys, see `key_sets.py`
open:{database}  (zset; a job's until it is final; admit, complete, settle)
    `{job}|{care plan}` -> its place in the order of acceptance
plans:{database}  (hash; a care plan's while it has open jobs; admit, complete)
    care plan of the path, or "" -> how many jobs are open
unplaced:{database}  (zset; a job's until it is placed; admit, place, complete, settle)
    job -> its place in the order of acceptance; nobody has found out yet for which earlier ones it must wait
after:{job}  (set; until final; place, complete)
    jobs that wait for this one; `waits` in a job's record is the number of things that it waits for
behind:{database}  (zset; a job's until that place is passed; place, complete, settle)
    a job that waits for all up to a place in the order of acceptance -> that place
working:{database}  (set; a job's from opened to final; admit, place, cancel, complete)
    jobs that are being applied
holding  (hash; an entry while a process holds a chunk; claim, release, complete, reclaim)
    `{job}:{n}` -> holder
circuit:{database}  (string; as long as its circuit is not closed; claim, release, complete, reclaim)
    empty while the circuit is open; half open, the name of the process that probes whether the database is back
failures:{database}  (string; until the database answers; release, complete)
    attempts in a row that found it away
pace:{database}  (hash; for ever; admit, complete)
    `open` items, the rate measured, and when a chunk was completed last
backlog:{database}  (hash; for ever; admit, complete)
    `jobs` and `bytes` not final yet
busy  (set; while there are; admit, complete)
    databases that have jobs which are not final
stats  (hash; for ever; complete)
    `{database}|{count}` -> items ever; those of dry runs under `dry_run` alone
measures  (hash; for ever; claim, place, complete, reclaim)
    `{database}|{what}` -> how often ever: `lease_expired`, `reclaimed`; of jobs, from acceptance, `waited` until the
    first attempt and `final`, each as `|{highest ms of the bucket, or inf}`, and `|us`, the sum; see `measures.py`
idem:{client}:{digest}  (string; as long as the result; admit, complete, purge, rewrap)
    `{fingerprint}|{job}`; both digests are keyed where there are encryption keys
jobs:{database}:{client}  (zset; entries until the result expires; admit, and whatever counts)
    job -> us of acceptance
kept:{database}  (hash; for ever; stage, discard, admit, complete, purge, and whatever counts)
    `jobs`, open or with a result; `bytes`, of these, of what is staged and of records; `done`, those of the bytes that
    are of results and records; each for all clients, and for one as `jobs:{client}`...; `staged:{job}`: of an upload
leaving:{database}  (zset; entries until that moment; stage, discard, admit, complete, purge, and whatever counts)
    `{client}|{job}|{staged, result or record}|{bytes}` -> ms at which that expires: then the next script that counts
    (stage, admit, complete, overdue, list) takes it off `kept`
final  (channel; complete)
    `{job}|{client}` of each job that has become final
progress  (channel; complete, release, cancel)
    `{job}|{client}` of each job that has changed otherwise; nothing is published for a job of one chunk that succeeds
events:{webhook}:{job}  (list; twice the retention after the last event; complete, release, delivered, replay)
    events of a job that are to be delivered to a webhook, in order, as `{number}|{event}|{us}|{database}|{total}` and
    the job's counts
outbox:{webhook}  (zset; a job's while it has such events; complete, release, deliver, delivered, replay)
    job -> ms at which to deliver its next event
delivering:{webhook}  (string; a lease; deliver, delivered)
    the worker that delivers to it
attempts:{webhook}  (hash; entries until delivered or given up; delivered)
    job -> attempts at its next event that have failed
undelivered:{webhook}  (zset; so many; delivered, replay)
    `{job}|{event as above}` -> ms at which it was given up
webhook:{webhook}  (hash; for ever; delivered, replay)
    `delivered`, `attempts_failed`, `given_up` and `dropped`: events ever; `failing_since_ms` and `reason` of the last
    attempts; `disabled_ms`: since when the webhook wants no more
housekeeping:{what}  (string; until it is to be done again; take_turn, try_write)
    there while a piece of housekeeping need not be done again; `write` for a second after Redis was asked to write
rate:{client}  (string; a minute after the bucket is full again; spend)
    the moment, in us, at which it is full
workers  (zset; entries a minute; seen, unseen)
    worker -> ms last seen
clocks  (hash; entries as long as those of workers; seen, unseen)
    worker -> by how many ms its host's clock is ahead of Redis's

Every moment is one of Redis's own clock.

Jobs under the same care plan in the path (or all without one) commute: the newest version of a case wins. Jobs of
different care plans that share a case do not, since a care plan's guard depends on the order: the later job waits until
the earlier one is final (decision 0043). A dry run is no part of the order: `seq`, `keys`, `open`, `plans`, `unplaced`,
`after` and `behind` have nothing of it (decision 0045).
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

    def key_set(self, job_id: str) -> str:
        """Return the key of the key set of a job."""
        return f"{self.prefix}keys:{job_id}"

    def open(self, database: str) -> str:
        """Return the key of the jobs of a database that are not final, in order of acceptance."""
        return f"{self.prefix}open:{database}"

    def unplaced(self, database: str) -> str:
        """Return the key of the open jobs that are still to be placed."""
        return f"{self.prefix}unplaced:{database}"

    def jobs(self, database: str, client: str) -> str:
        """Return the key of a client's jobs of a database by time of acceptance."""
        return f"{self.prefix}jobs:{database}:{client}"

    def pace(self, database: str) -> str:
        """Return the key of the open items and the rate of a database."""
        return f"{self.prefix}pace:{database}"

    def settled(self, database: str) -> str:
        """Return the key of the highest place that a database held when this Redis first met it."""
        return f"{self.prefix}settled:{database}"

    def trouble(self, database: str) -> str:
        """Return the key of the failure that a database's chunks met last."""
        return f"{self.prefix}trouble:{database}"

    def failures(self, database: str) -> str:
        """Return the key of the number of attempts in a row that found a database away."""
        return f"{self.prefix}failures:{database}"

    def backlog(self, database: str) -> str:
        """Return the key of the numbers of jobs and bytes of a database that are not final yet."""
        return f"{self.prefix}backlog:{database}"

    def circuit(self, database: str) -> str:
        """Return the key that is there while the circuit of a database is not closed."""
        return f"{self.prefix}circuit:{database}"

    def housekeeping(self, what: str) -> str:
        """Return the key that is there while a piece of housekeeping need not be done again."""
        return f"{self.prefix}housekeeping:{what}"

    def outbox(self, webhook: str) -> str:
        """Return the key of the jobs with events that are to be delivered to a webhook."""
        return f"{self.prefix}outbox:{webhook}"

    def undelivered(self, webhook: str) -> str:
        """Return the key of the events of a webhook that were given up."""
        return f"{self.prefix}undelivered:{webhook}"

    def webhook(self, webhook: str) -> str:
        """Return the key of the state of a webhook."""
        return f"{self.prefix}webhook:{webhook}"

    @property
    def holding(self) -> str:
        """Key of the holders of chunks."""
        return f"{self.prefix}holding"

    @property
    def final(self) -> str:
        """Channel of the jobs that have become final, each with its client."""
        return f"{self.prefix}final"

    @property
    def progress(self) -> str:
        """Channel of the jobs that have changed otherwise, each with its client."""
        return f"{self.prefix}progress"

    @property
    def stats(self) -> str:
        """Key of the numbers of items ever, by database and count."""
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
