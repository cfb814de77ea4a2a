"""What the job store should do and answer, as keys.py, job.py and the heads of the scripts say; nothing is from Lua."""

import hmac
from dataclasses import replace
from math import ceil, floor
from typing import Any

from tests.integration.store.states import (
    COUNTS,
    MINUTE_MS,
    RECORD_BYTES,
    Answer,
    Batch,
    Chunk,
    Database,
    Job,
    Limits,
    Payloads,
    States,
)

from carecase_worker.store.queries.measures import DURATION_BOUNDS_MS

QUARTER_MS, MARGIN_MS = 900_000, 60_000
GROUP = 100


class Model(States):
    """Each operation moves the states as it should, and gives the answer."""

    # what admits

    def stage(self, batch: Batch, payloads: dict[int, str], size: int, limits: Limits) -> Answer:
        if batch.job in self.jobs:
            return ["staged"]
        why = self._refused(batch, size, limits)
        if why:
            return why
        held = self.payloads.setdefault(batch.job, Payloads({}, None))
        held.chunks |= payloads
        held.till_ms = self.now_ms + QUARTER_MS
        self.staged[batch.job] = (batch.database, batch.client, size)
        self.leaving[batch.database][batch.client, batch.job, "staged", 0] = held.till_ms
        self._count(batch, "bytes")
        return ["staged"]

    def discard(self, batch: Batch) -> str:
        if batch.job in self.jobs:
            return "known"
        self._drop(batch)
        return "discarded"

    def admit(self, batch: Batch, last: dict[int, str], limits: Limits) -> Answer:
        if batch.job in self.jobs:
            return ["admitted", []]
        why = self._not_admitted(batch, len(last), limits)
        if why:
            self._drop(batch)
            return why
        held = self.payloads.setdefault(batch.job, Payloads({}, None))
        held.chunks |= last
        held.till_ms = None
        self._unstage(batch)
        database = self.databases.get(batch.database) or self.databases.setdefault(batch.database, Database(0))
        database.had_jobs = True
        others: set[str] = set()
        if not batch.dry_run:
            database.seq, database.has_order = max(database.seq + 1, self.now_ms), True
            others = {job.batch.care_plan for job in self.jobs_in_order(batch.database)} - {batch.care_plan}
        seq, unsettled = (0, False) if batch.dry_run else (database.seq, database.settled is None)
        job = Job(batch, limits, seq, self.now_us, unsettled, [Chunk(n) for n in batch.sizes], batch.size)
        if batch.data_key:
            noted = f"{job.seq}|{job.accepted_us}|{int(job.unsettled)}"
            job.signature = hmac.digest(batch.job.encode(), noted.encode(), "sha1").hex()
        self.jobs[batch.job] = job
        self._count(batch, "jobs", "bytes")
        self.listed[batch.database, batch.client][batch.job] = self.now_us
        if batch.idempotency is not None:
            self.known[batch.idempotency] = (f"{batch.fingerprint}|{batch.job}", None)
        if batch.retry_of in self.jobs:
            self._hand_over(self.jobs[batch.retry_of], batch.job)
        opened = self._leave_unplaced(job, limits) if others else self._open_first(job, limits)
        open_items = sum(one.left for one in self.open_jobs(batch.database))
        pace = [str(database.pace.get(name, 0)) for name in ("items_per_second", "completed_ms")]
        return ["admitted", [str(job.seq), str(job.accepted_us), str(int(job.unsettled)), open_items, *pace], *opened]

    def _leave_unplaced(self, job: Job, limits: Limits) -> list[str]:
        """Who waits for whom is to be found out; the first chunk stands for that."""
        database = self.databases[job.batch.database]
        database.unplaced.append(job.batch.job)
        job.chunks[0].due_ms = self.now_ms + limits.renotify_after_ms
        if database.awake_till_ms is not None:
            return []
        database.awake_till_ms = self.now_ms + 50
        return [f"{job.batch.job}:0"]

    def _hand_over(self, old: Job, name: str) -> None:
        """The items that are kept of a final job are another one's now."""
        old.marks["retried_as"] = name
        held = self.payloads.pop(old.batch.job, Payloads({}, None))
        left = self.leaving[old.batch.database]
        till = left.pop((old.batch.client, old.batch.job, "result", old.size), None)
        if till is not None:
            old.size -= sum(map(len, held.chunks.values()))
            left[old.batch.client, old.batch.job, "result", old.size] = till

    def _not_admitted(self, batch: Batch, last: int, limits: Limits) -> Answer | None:
        for name, own in ((batch.idempotency, batch.fingerprint), *batch.also_known):
            if batch.idempotency is not None and name in self.known:
                fingerprint, _, job = self.known[name][0].partition("|")
                return ["known", job] if fingerprint == own else ["reused"]
        if batch.retry_of in self.jobs and "retried_as" in self.jobs[batch.retry_of].marks:
            return ["known", self.jobs[batch.retry_of].marks["retried_as"]]
        jobs, size = self.backlog(batch.database)
        if jobs == limits.max_jobs or size + batch.payload_bytes > limits.max_bytes:
            return ["full"]
        why = self._refused(batch, batch.size, limits)
        if why:
            return why
        held = self.payloads.get(batch.job, Payloads({}, None))
        return None if len(held.chunks) + last == len(batch.sizes) else ["lost"]

    # what is kept

    def _count(self, batch: Batch, *names: str) -> None:
        self.counted |= {(batch.database, name, batch.client) for name in names}

    def _unstage(self, batch: Batch) -> None:
        if self.staged.pop(batch.job, None):
            del self.leaving[batch.database][batch.client, batch.job, "staged", 0]

    def _drop(self, batch: Batch) -> None:
        self.payloads.pop(batch.job, None)
        self._unstage(batch)

    def _refused(self, batch: Batch, size: int, limits: Limits) -> Answer | None:
        """Everything that has gone is off the counts before anybody is refused; else a hundred things."""
        self.leave(batch.database, 100)
        if self._no_room(batch, size, limits):
            self.leave(batch.database, 10_000)
        return self._no_room(batch, size, limits)

    def _no_room(self, batch: Batch, size: int, limits: Limits) -> Answer | None:
        staged = self.staged[batch.job][2] if batch.job in self.staged else 0
        for whose, client, most_jobs, most_bytes in (
            ("client", batch.client, limits.client_jobs, limits.client_bytes),
            ("database", None, limits.database_jobs, limits.database_bytes),
        ):
            kept = self.kept_of(batch.database, client)
            if kept["jobs"] == most_jobs or kept["done"] + size > most_bytes:
                return ["used", whose]
            if kept["bytes"] - staged + size > most_bytes:
                return ["crowded", whose]
        return None

    def leave(self, database: str, limit: int) -> int:
        left = self.leaving[database]
        over = sorted((till, "|".join(map(str, one)), one) for one, till in left.items() if till <= self.now_ms)[:limit]
        for _, _, one in over:
            client, job, what, size = one
            if what == "staged":
                self.staged.pop(job)
            left.pop(one)
            if what == "result":
                self._forget(database, client, job, size)
        return len(over)

    def _forget(self, database: str, client: str, job: str, size: int) -> None:
        self.listed[database, client].pop(job, None)
        if job in self.jobs:
            till = self.jobs[job].record_till_ms or 0
            self.leaving[database][client, job, "record", min(RECORD_BYTES, size)] = till

    def purge(self, name: str) -> str:
        job = self.jobs.get(name)
        if job is None or not job.final:
            return "gone" if job is None else "open"
        self.payloads.pop(name, None)
        for chunk in job.chunks:
            chunk.outcome, chunk.tally = None, ""
        job.result_till_ms = None
        key = str(job.batch.idempotency)
        if key in self.known and self.known[key][0].endswith(f"|{name}"):
            del self.known[key]
        job.marks["expires_ms"] = min(job.marks["expires_ms"], self.now_ms)
        job.purged = True
        if self.leaving[job.batch.database].pop((job.batch.client, name, "result", job.size), None):
            self._forget(job.batch.database, job.batch.client, name, job.size)
        return "purged"

    def listing(self, client: str, first: int, count: int, state: str, among: int, databases: list[str]) -> Answer:
        for database in databases:
            self.leave(database, 1000)
        found = [(at, job) for where in databases for job, at in self.listed[where, client].items()]
        jobs = [job for _, job in sorted(found, reverse=True)]
        if state:
            jobs = [job for job in jobs[:among] if self.jobs[job].state == state]
        return [len(jobs), *jobs[first : first + count]]

    # what works

    def claim(self, job_id: str, n: int, holder: str, limits: Limits, room: int = 0) -> Answer:
        if room:
            self._give_back(holder, [f"{job_id}:{n}"])
        one = self._take(job_id, n, holder, limits)
        answer = [one]
        job = self.jobs.get(job_id)
        if room and one[0] in ("apply", "cancel") and job is not None and self._is_for_groups(job, n):
            left = room - int(job.batch.weight)
            self._take_ready(
                self.databases[job.batch.database], holder, limits, left, bool(job.batch.care_plan), answer
            )
        return answer

    def _take(self, job_id: str, n: int, holder: str, limits: Limits) -> Answer:
        job, member = self.jobs.get(job_id), f"{job_id}:{n}"
        if job is None:
            return ["gone"]
        chunk, database, now = job.chunks[n], self.databases[job.batch.database], self.now_ms
        database.ready.pop(member, None)
        if chunk.outcome is not None:
            chunk.due_ms = None
            return ["done"]
        if chunk.due_ms is None:
            return ["gone"] if job.final else ["busy", ""]
        if not any(one.opened for one in job.chunks):
            return ["unplaced", job.batch.database]
        held_by = chunk.lease.get("holder")
        if held_by not in (None, holder):
            if 0 < chunk.lease["until"] - now <= limits.longest_ms:
                return ["busy", held_by]
            self.measures[f"{job.batch.database}|lease_expired"] += 1
            self._let_go(held_by, member)
        deaths = chunk.lease.get("deaths", 0) + (held_by not in (None, holder))
        open_circuit_ms = self._circuit_open_ms(database, limits)
        if open_circuit_ms and database.circuit and database.circuit[0] != holder:
            chunk.due_ms = now
            self._unlease(chunk)
            chunk.lease["deaths"] = deaths
            self._let_go(holder, member)
            job.state = "cancelling" if job.state == "cancelling" else "waiting"
            return ["circuit_open", open_circuit_ms]
        payload = self.payloads[job_id].chunks.get(n)
        if payload is None:
            return ["gone"]
        chunk.lease |= {"deaths": deaths, "until": now + limits.lease_ms, "holder": holder}
        chunk.due_ms = now + limits.lease_ms
        self.holding[member] = holder
        if "started_us" not in job.marks:
            job.marks["started_us"] = self.now_us
            if job.batch.dry_run:
                job.marks["saw_seq"] = self._final_up_to(job.batch.database)
            else:
                self._measure_since(job, "waited")
        job.state = "cancelling" if job.state == "cancelling" else "running"
        if database.failures:
            database.circuit = (holder, now + limits.lease_ms)
        return [
            "cancel" if job.state == "cancelling" else "apply",
            payload,
            *(chunk.lease.get(name, 0) for name in ("deaths", "releases", "faults", "too_slow")),
            database.failures,
            self._failing_ms(database, limits) - job.marks["failing_from_ms"] if "failing_from_ms" in job.marks else 0,
            *(job.batch.database, job.batch.care_plan, job.batch.user, str(job.seq), job.batch.strict),
            str(job.accepted_us),
            str(int(job.unsettled)),
            str(job.marks.get("moved", "")),
            *(job.batch.client, str(sum(job.batch.sizes)), str(len(job.chunks)), job.batch.data_key, job.signature),
            *(job.batch.traceparent, str(int(job.batch.dry_run)), chunk.lease.get("isolation", "")),
        ]

    def _final_up_to(self, name: str) -> int:
        """The place up to which all jobs are final."""
        return min((job.seq - 1 for job in self.jobs_in_order(name)), default=self.databases[name].seq)

    def _is_for_groups(self, job: Job, n: int) -> bool:
        lease = job.chunks[n].lease
        troubled = any(lease.get(name) for name in ("deaths", "faults", "too_slow"))
        return bool(job.batch.weight) and not job.unsettled and not troubled

    def _line_up(self, database: Database, member: str, seq: int) -> bool:
        """Line a small chunk up; whether it must be notified for."""
        database.ready[member] = seq
        if database.awake_till_ms is not None and len(database.ready) % 64:
            return False
        database.awake_till_ms = self.now_ms + 50
        return True

    def _take_ready(
        self, database: Database, holder: str, limits: Limits, room: int, guarded: bool | None, taken: Answer
    ) -> None:
        """Take what is lined up, in the order of acceptance: what finds room and is guarded alike."""
        if database.failures:
            return
        for member, _ in sorted(database.ready.items(), key=lambda one: (one[1], one[0]))[:GROUP]:
            name, _, n = member.partition(":")
            if name not in self.jobs or not self._is_for_groups(self.jobs[name], int(n)):
                del database.ready[member]
                continue
            job = self.jobs[name]
            if int(job.batch.weight) > room or len(taken) >= GROUP:
                break
            if guarded in (None, bool(job.batch.care_plan)):
                answer = self._take(name, int(n), holder, limits)
                if answer[0] in ("apply", "cancel"):
                    room -= int(job.batch.weight)
                    guarded = bool(job.batch.care_plan)
                    taken.append([member, *answer])
        if taken:
            database.awake_till_ms = self.now_ms + 100

    def complete(self, chunks: list[tuple[str, int, dict[str, Any]]], holder: str, limits: Limits, room: int) -> Answer:
        opened: list[str] = []
        before = len(self.told_final), len(self.told_progress)
        verdicts = [self._complete(job_id, n, done, opened, limits) for job_id, n, done in chunks]
        final = [published.partition("|")[0] for published in self.told_final[before[0] :]]
        for published, start in zip((self.told_final, self.told_progress), before, strict=True):
            published[start:] = ["\n".join(published[start:])] if published[start:] else []
        names = {self.jobs[job_id].batch.database for job_id, _, _ in chunks if job_id in self.jobs}
        if not names:
            return [1, [], [], [], *verdicts]
        own = [f"{job_id}:{n}" for job_id, n, _ in chunks]
        (name,) = names
        database, shares = self.databases[name], 1
        taken: Answer = []
        kept, again = "kept" in verdicts, opened[:1]
        if kept:
            pairs = zip(chunks, verdicts, strict=True)
            self._measure(database, sum(sum(done["counts"].values()) for (_, _, done), how in pairs if how == "kept"))
            self.leave(name, 100)
            shares = self._shares(name)
        elif holder:
            given = self._give_back(holder, own)
            again = [member for member in given if self.jobs[member.partition(":")[0]].batch.database == name]
        if holder and (kept or not self._circuit_open_ms(database, limits)):
            taken = self._following(database, holder, limits, room, again)
        return [shares, taken, self._to_notify(database, opened, taken, own), final, *verdicts]

    def _shares(self, name: str) -> int:
        return max(1, len(self.working(name)) * len(self.busy()))

    def _following(self, database: Database, holder: str, limits: Limits, room: int, opened: list[str]) -> Answer:
        """What a process goes on with: a job to place, what is ready, or what is open now."""
        for job in database.unplaced:
            return [[f"{job}:0", "unplaced", self.jobs[job].batch.database]]
        taken: Answer = []
        self._take_ready(database, holder, limits, room, None, taken)
        if not taken and opened:
            taken.append(self._claimed(opened[0], holder, limits))
        return taken

    def _to_notify(self, database: Database, opened: list[str], taken: Answer, own: list[str]) -> list[str]:
        wanted = [member for member in opened if member not in [*own, *(one[0] for one in taken)]]
        ready = sorted(database.ready, key=lambda member: (database.ready[member], member))
        if taken:
            if len(ready) >= len(taken) and database.joined_till_ms is None:
                database.joined_till_ms = self.now_ms + 100
                wanted += [member for member in ready[-1:] if member not in wanted]
            return wanted
        database.awake_till_ms = None
        first = [f"{job}:0" for job in database.unplaced[:1]] or ready[:1]
        if first:
            database.awake_till_ms = self.now_ms + 50
            if database.unplaced or not any(member in database.ready for member in wanted):
                wanted += first
        return wanted

    def place(
        self, name: str, jobs: list[tuple[str, str, list[str]]], holder: str, limits: Limits, room: int
    ) -> Answer:
        """Each job with the one up to which it waits for all, or "", and those that it waits for one by one."""
        database, opened = self.databases[name], []
        for job_id, last, earlier in jobs:
            if job_id not in database.unplaced:
                continue
            database.unplaced.remove(job_id)
            job = self.jobs[job_id]
            if any(chunk.opened for chunk in job.chunks):
                continue
            job.chunks[0].due_ms = None
            waits = 0
            if last:
                seq = self.jobs[last].seq if last in self.jobs else job.seq - 1
                if min(one.seq for one in self.jobs_in_order(name)) <= seq:
                    database.behind[job_id] = seq
                    waits += 1
            for one in earlier:
                if one in self.jobs and not self.jobs[one].final:
                    self.jobs[one].after.append(job_id)
                    waits += 1
            if waits:
                job.marks["waits"] = waits
            else:
                opened += self._open_first(job, limits)
        taken = self._following(database, holder, limits, room, opened[:1]) if holder else []
        return [self._shares(name), taken, self._to_notify(database, opened, taken, []), []]

    def _give_back(self, holder: str, but: list[str]) -> list[str]:
        """Have the chunks due that a process holds beside some."""
        given = []
        for member in sorted(member for member, by in self.holding.items() if by == holder and member not in but):
            del self.holding[member]
            name, _, n = member.partition(":")
            job = self.jobs.get(name)
            if job is None or job.chunks[int(n)].lease.get("holder") != holder:
                continue
            chunk, database = job.chunks[int(n)], self.databases[job.batch.database]
            self._unlease(chunk)
            chunk.due_ms = self.now_ms
            if self._is_for_groups(job, int(n)):
                database.ready[member] = job.seq
            if database.circuit and database.circuit[0] == holder:
                database.circuit = None
            given.append(member)
        return given

    def _complete(self, job_id: str, n: int, done: dict[str, Any], opened: list[str], limits: Limits) -> str:
        job, member = self.jobs.get(job_id), f"{job_id}:{n}"
        if job is None:
            return "gone"
        chunk, database = job.chunks[n], self.databases[job.batch.database]
        chunk.due_ms = None
        database.ready.pop(member, None)
        if job.final or chunk.outcome is not None:
            return "done"
        self._let_go(chunk.lease.get("holder"), member)
        chunk.lease = {}
        if done["answered"]:
            job.marks.pop("failing_from_ms", None)
            database.failures, database.circuit, database.trouble = 0, None, {}
        else:
            self._note_failure(database, limits)
        job.size += len(done["packed"])
        if not done["keep"]:
            job.size -= len(self.payloads[job_id].chunks[n])
            del self.payloads[job_id].chunks[n]
            if not self.payloads[job_id].chunks:
                del self.payloads[job_id]
        chunk.outcome = done["packed"]
        chunk.tally = ",".join(str(done["counts"].get(name, 0)) for name in COUNTS)
        for name, count in done["counts"].items():
            if not count:
                continue
            job.counts[name] += count
            self.stats[f"{job.batch.database}|{'dry_run' if job.batch.dry_run else name}"] += count
        opened += self._after(job, database, limits)
        return "kept"

    def _after(self, job: Job, database: Database, limits: Limits) -> list[str]:
        """The chunks to notify for now that one more of a job has its outcome."""
        if job.left:
            job.state = "cancelling" if job.state == "cancelling" else "running"
            self.told_progress.append(f"{job.batch.job}|{job.batch.client}")
            return self._open_next(job, limits)
        job.state = "cancelled" if job.counts["cancelled"] and job.state == "cancelling" else "completed"
        retention, name = job.limits.retention_ms, job.batch.job
        job.result_till_ms, job.record_till_ms = self.now_ms + retention, self.now_ms + 2 * retention
        job.marks |= {"finished_us": self.now_us, "expires_ms": self.now_ms + retention}
        for chunk in job.chunks:
            chunk.lease = {}
        if name in self.payloads:
            self.payloads[name].till_ms = self.now_ms + retention
        if job.batch.idempotency is not None:
            self.known[job.batch.idempotency] = (f"{job.batch.fingerprint}|{name}", self.now_ms + retention)
        job.size -= len(job.batch.keys)
        self._count(job.batch, "done")
        self.leaving[job.batch.database][job.batch.client, name, "result", job.size] = self.now_ms + retention
        self.told_final.append(f"{name}|{job.batch.client}")
        self._announce(job, job.state)
        if job.batch.dry_run:
            return []
        self._measure_since(job, "final")
        if name in database.unplaced:
            database.unplaced.remove(name)
        oldest = min((one.seq for one in self.jobs_in_order(job.batch.database)), default=None)
        passed = sorted((seq, one) for one, seq in database.behind.items() if oldest is None or seq < oldest)
        opened = []
        for one in [*sorted(job.after), *(one for _, one in passed)]:
            database.behind = {held: seq for held, seq in database.behind.items() if (seq, held) not in passed}
            if one not in self.jobs:  # cancelled, and expired since
                continue
            waiting = self.jobs[one]
            waiting.marks["waits"] -= 1
            if not waiting.marks["waits"]:
                opened += self._open_first(waiting, limits)
        return opened

    def _measure(self, database: Database, items: int) -> None:
        """Items a second over windows of a second or more, each new one counting half; five seconds are a gap."""
        pace, now = database.pace, self.now_ms
        pace["completed_ms"] = now
        length = now - pace.get("window_began_ms", 0)
        items += pace.get("window_items", 0)
        if length < 1000:
            pace["window_items"] = items
            return
        if length <= 5000:
            measured, before = items * 1000 / length, pace.get("items_per_second", 0)
            pace["items_per_second"] = ceil((before + measured) / 2 if before else measured)
        pace |= {"window_began_ms": now, "window_items": 0}

    def _failing_ms(self, database: Database, limits: Limits) -> int:
        """The clock of a database's failures."""
        since_last = max(0, self.now_ms - database.failing.get("last_ms", self.now_ms))
        return database.failing.get("ms", 0) + min(since_last, limits.longest_ms)

    def _note_failure(self, database: Database, limits: Limits) -> int:
        database.failing = {"ms": self._failing_ms(database, limits), "last_ms": self.now_ms}
        return database.failing["ms"]

    def release(self, chunks: list[tuple[str, int]], holder: str, wait: dict[str, Any], limits: Limits) -> Answer:
        failed: set[str] = set()
        return [self._release(job_id, n, holder, wait, limits, failed) for job_id, n in chunks]

    def _release(self, job_id: str, n: int, holder: str, wait: dict[str, Any], limits: Limits, failed: set[str]) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        chunk, database = job.chunks[n], self.databases[job.batch.database]
        if chunk.lease.get("holder") != holder:
            return "lost"
        self._unlease(chunk)
        self._let_go(holder, f"{job_id}:{n}")
        for name, counted in (("releases", True), ("too_slow", wait["too_slow"]), ("faults", wait["unexplained"])):
            if counted:
                chunk.lease[name] = chunk.lease.get(name, 0) + 1
        if wait["isolation"]:
            chunk.lease["isolation"] = wait["isolation"]
        chunk.due_ms = self.now_ms + wait["after_ms"]
        if wait["to_blame"] and not wait["unexplained"]:
            if "failing_from_ms" not in job.marks:
                self._announce(job, "waiting")
            job.marks.setdefault("failing_from_ms", self._note_failure(database, limits))
            database.trouble = {"since_ms": database.trouble.get("since_ms", self.now_ms), "reason": wait["reason"]}
        if job.state == "running":
            job.state = "waiting"
            self.told_progress.append(f"{job_id}|{job.batch.client}")
        if job.batch.database in failed:
            return "released"
        failed.add(job.batch.database)
        if wait["open_circuit_ms"]:
            database.failures += 1
            database.circuit = ("", self.now_ms + wait["open_circuit_ms"])
        elif database.circuit and database.circuit[0] == holder:
            database.circuit = None
        return "released"

    def cancel(self, job_id: str, limits: Limits) -> Answer:
        job = self.jobs.get(job_id)
        if job is None:
            return ["gone"]
        if job.final:
            return ["final"]
        job.state = "cancelling"
        self.told_progress.append(f"{job_id}|{job.batch.client}")
        return ["cancelling", *self._open_first(job, limits)]

    def _announce(self, job: Job, event: str) -> None:
        number, counts = job.marks.get("events", 0) + 1, [job.counts.get(name, 0) for name in COUNTS]
        entry = (number, event, self.now_us, job.batch.database, sum(job.batch.sizes), *counts)
        till_ms, text = self.now_ms + 2 * job.limits.retention_ms, "|".join(map(str, entry))
        if self.webhooks.announce(job.batch.job, job.batch.webhooks, event, text, till_ms, self.now_ms):
            job.marks["events"] = number

    # what sweeps

    def overdue(self, name: str, waiting: int, limit: int, limits: Limits) -> list[str]:
        self.leave(name, limit)
        database, now = self.databases.get(name), self.now_ms
        if database is None or self._circuit_open_ms(database, limits):
            return []
        due = sorted((at, member) for member, at in self.due(name).items())
        late = [member for at, member in due if at <= now]
        never = [member for at, member in due if at >= now + limits.longest_ms]
        surplus = max(len(late) - waiting, min(len(late), 10))
        moved = never[:limit] + late[: min(surplus, limit)]
        to_notify, small = [], 0
        for member in moved:
            name, _, n = member.partition(":")
            job = self.jobs[name]
            job.chunks[int(n)].due_ms = now + limits.renotify_after_ms
            opened = any(chunk.opened for chunk in job.chunks)
            if opened and self._is_for_groups(job, int(n)) and "holder" not in job.chunks[int(n)].lease:
                database.ready[member] = job.seq
                small += 1
                if small % 64 != 1:
                    continue
            to_notify.append(member)
        return to_notify

    def reclaim(self, holder: str) -> list[str]:
        answer = []
        for member in sorted(member for member, by in self.holding.items() if by == holder):
            del self.holding[member]
            job_id, _, n = member.partition(":")
            job = self.jobs.get(job_id)
            if job is None or job.chunks[int(n)].lease.get("holder") != holder:
                continue
            chunk, database = job.chunks[int(n)], self.databases[job.batch.database]
            self._unlease(chunk)
            self.measures[f"{job.batch.database}|reclaimed"] += 1
            chunk.lease["deaths"] += 1
            chunk.due_ms = self.now_ms
            if database.circuit and database.circuit[0] == holder:
                database.circuit = None
            answer += [job.batch.database, member]
        return answer

    def settle(self, name: str, highest: int) -> str:
        database = self.databases.get(name) or self.databases.setdefault(name, Database(0))
        if database.settled is not None:
            return "known"
        moved = [job for job in self.jobs.values() if job.batch.database == name and job.unsettled and not job.final]
        least = min((job.seq for job in moved), default=None)
        up = highest + 1 + MARGIN_MS - least if least is not None and highest >= least else 0
        for job in moved:
            job.seq, job.unsettled = job.seq + up, False
            job.marks["moved"] = up
        database.behind = {job: seq + up for job, seq in database.behind.items()}
        database.seq += up
        if highest >= database.seq:
            database.seq = highest + (MARGIN_MS if highest >= self.now_ms else 0)
        database.settled, database.has_order = highest, True
        return "settled"

    def rewrap(self, job_id: str, held: str, anew: str, name: str, fingerprint: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.purged or job.batch.data_key != held:
            return "other"
        job.batch = replace(job.batch, data_key=anew)
        if name and job.batch.idempotency in self.known:
            _, till_ms = self.known.pop(str(job.batch.idempotency))
            self.known[name] = (f"{fingerprint}|{job_id}", till_ms)
            job.batch = replace(job.batch, idempotency=name, fingerprint=fingerprint)
        return "wrapped"

    def seen(self, worker: str, ahead_ms: str) -> int:
        self.workers[worker] = self.now_ms
        for name, at in list(self.workers.items()):
            if abs(self.now_ms - at) >= MINUTE_MS:
                del self.workers[name]
                self.clocks.pop(name, None)
        if ahead_ms:
            self.clocks[worker] = ahead_ms
        return self.now_ms

    def spend(
        self, client: str, each_us: float, burst: int, needed: int = 1, ahead: int = 0, unused_us: int = 0
    ) -> list[int]:
        """A bucket of `burst` tokens, one comes back in each `each_us`; returns those taken, and the us to the next."""
        missing_us: float = min(self.rates.get(client, (0, 0))[0] - self.now_us, burst * each_us)
        missing_us = max(0, missing_us - unused_us)
        tokens = floor((burst * each_us - missing_us) / each_us)
        taken = min(tokens, needed)
        taken += min((tokens - taken) // 4, ahead)
        missing_us += taken * each_us
        if taken:
            self.rates[client] = (round(self.now_us + missing_us), self.now_ms + ceil(missing_us / 1000) + MINUTE_MS)
        return [taken, max(0, ceil(missing_us + each_us - burst * each_us))]

    # the steps that several share

    def _measure_since(self, job: Job, what: str) -> None:
        """Count a job's time from its acceptance until now, in its bucket and in the sum."""
        took_us = max(0, self.now_us - job.accepted_us)
        bound = next((str(bound) for bound in DURATION_BOUNDS_MS if took_us <= bound * 1000), "inf")
        for name, by in ((bound, 1), ("us", took_us)):
            self.measures[f"{job.batch.database}|{what}|{name}"] += by

    def _circuit_open_ms(self, database: Database, limits: Limits) -> int:
        """For how many ms its circuit is open; one that was opened before the clock was set back is closed."""
        if database.circuit and database.circuit[1] - self.now_ms > limits.longest_ms:
            database.circuit = None
        return database.circuit[1] - self.now_ms if database.circuit else 0

    def _claimed(self, member: str, holder: str, limits: Limits) -> Answer:
        job, _, n = member.partition(":")
        return [member, *self._take(job, int(n), holder, limits)]

    def _let_go(self, holder: str | None, member: str) -> None:
        if holder is not None and self.holding.get(member) == holder:
            del self.holding[member]

    def _unlease(self, chunk: Chunk) -> None:
        chunk.lease = {name: value for name, value in chunk.lease.items() if name not in ("until", "holder")}

    def _open_next(self, job: Job, limits: Limits) -> list[str]:
        """Open the next chunk; return it if it must be notified for."""
        closed = [n for n, chunk in enumerate(job.chunks) if not chunk.opened][:1]
        published = []
        for n in closed:
            member = f"{job.batch.job}:{n}"
            job.chunks[n].opened, job.chunks[n].due_ms = True, self.now_ms + limits.renotify_after_ms
            database = self.databases[job.batch.database]
            if not self._is_for_groups(job, n) or self._line_up(database, member, job.seq):
                published.append(member)
        return published

    def _open_first(self, job: Job, limits: Limits) -> list[str]:
        if any(chunk.opened for chunk in job.chunks):
            return []
        return [member for _ in range(job.limits.width) for member in self._open_next(job, limits)]
