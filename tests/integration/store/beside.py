"""The scripts beside the model: each operation is done to both, and answers and every key must be the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.integration.store.clocked import FIRST_US, Clocked, Content
from tests.integration.store.model import GROUP, QUARTER_MS, Model
from tests.integration.store.states import Answer, Batch, Limits, size_of

SWEPT_AT_ONCE = 500


def _payload(batch: Batch, n: int) -> str:
    return f"{batch.job} {n}"


def _blocks(key: str) -> tuple[str, str]:
    """The two blocks that HMAC puts before what it digests, as RFC 2104 has them; of a short key they are ASCII."""
    block = key.encode().ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block).decode() for pad in (0x36, 0x5C))
    return inner, outer


def _named(job: str, n: int, done: dict[str, Any]) -> dict[str, Any]:
    """The arguments of complete for one chunk."""
    return {"job": job, "chunk": n} | {name: done[name] for name in ("keep", "counts", "answered")}


@dataclass(frozen=True)
class Step:
    """An operation, its answer, and what all keys hold afterwards."""

    text: str
    answer: Any
    keys: dict[str, Content]


@dataclass
class Beside:
    """Each method does one operation to both stores; the answer is the model's. `check` compares them."""

    scripts: Clocked
    model: Model = field(default_factory=lambda: Model(FIRST_US))
    limits: Limits = field(default_factory=Limits)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scripts.restart()

    def check(self) -> None:
        """Do to the scripts what has been done to the model, and compare after each step."""
        done, steps = self.scripts.done(), self.steps
        self.steps = []
        for number, (step, (answer, keys)) in enumerate(zip(steps, done, strict=True)):
            so_far = "\n".join(one.text for one in steps[: number + 1])
            assert answer == step.answer, f"{so_far}\n{answer}, and should be {step.answer}"
            other = {
                key: (keys.get(key), step.keys.get(key))
                for key in keys | step.keys
                if keys.get(key) != step.keys.get(key)
            }
            assert not other, f"{so_far}\nkeys, as they are and as they should be: {other}"

    def stage(self, batch: Batch, *numbers: int) -> Answer:
        """Stage chunks; the script gets the number of all that are staged by then."""
        payloads = {n: _payload(batch, n) for n in numbers}
        before = self.model.payloads.get(batch.job)
        now = {**(before.chunks if before else {}), **payloads}
        size = sum(map(len, now.values()))
        arguments = {"job": batch.job, "database": batch.database, "client": batch.client, "limits": self._most}
        self.scripts.run(
            "stage",
            arguments | {"staged_for_ms": QUARTER_MS, "bytes": size, "chunks": len(now)},
            *(word for pair in payloads.items() for word in pair),
            keys=[f"job:{batch.job}", f"payload:{batch.job}"],
        )
        answer = self.model.stage(batch, payloads, size_of(size, len(now)), self.limits)
        return list(self._note(f"stage {batch.job} {numbers}", answer))

    def discard(self, batch: Batch) -> str:
        keys = [f"job:{batch.job}", f"payload:{batch.job}"]
        arguments = {"job": batch.job, "database": batch.database, "client": batch.client}
        self.scripts.run("discard", arguments, keys=keys)
        return str(self._note(f"discard {batch.job}", self.model.discard(batch)))

    def admit(self, batch: Batch, *last: int) -> Answer:
        """Admit what is staged, with the last chunks; return the verdict, and what comes with it."""
        limits, payloads = self.limits, {n: _payload(batch, n) for n in last}
        keys = [f"job:{batch.job}", f"payload:{batch.job}"]
        known = [] if batch.idempotency is None else [(batch.idempotency, batch.fingerprint), *batch.also_known]
        keys += [name for name, _ in known]
        inner, outer = _blocks(batch.job)
        arguments = {
            "job": batch.job,
            "database": batch.database,
            "client": batch.client,
            "user": batch.user,
            "total": sum(batch.sizes),
            "chunks": len(batch.sizes),
            "strict": batch.strict == "1",
            "dry_run": batch.dry_run,
            "care_plan": int(batch.care_plan) if batch.care_plan else "",
            "firsts": batch.firsts,
            "body_sha256": batch.job[-1] * 64,
            "bytes": batch.payload_bytes,
            "weight": int(batch.weight) if batch.weight else "",
            "retry_of": batch.retry_of,
            "webhooks": batch.webhooks,
            "fingerprints": [fingerprint for _, fingerprint in known],
            "data_key": batch.data_key,
            "traceparent": batch.traceparent,
            "width": limits.width,
            "renotify_after_ms": limits.renotify_after_ms,
            "retention_ms": limits.retention_ms,
            "backlog": {"jobs": limits.max_jobs, "bytes": limits.max_bytes},
            "limits": self._most,
        }
        large = (batch.keys, inner, outer)
        self.scripts.run("admit", arguments, *large, *(word for pair in payloads.items() for word in pair), keys=keys)
        verdict, *replies = self._note(f"admit {batch} {last}", self.model.admit(batch, payloads, limits))
        return [verdict, *replies[verdict == "admitted" :]]

    @property
    def _most(self) -> dict[str, dict[str, int]]:
        limits = self.limits
        return {
            "client": {"jobs": limits.client_jobs, "bytes": limits.client_bytes},
            "database": {"jobs": limits.database_jobs, "bytes": limits.database_bytes},
        }

    @property
    def _times(self) -> dict[str, int]:
        return {"renotify_after_ms": self.limits.renotify_after_ms, "lease_ms": self.limits.lease_ms}

    def admitted(self, job: str, sizes: tuple[int, ...] = (1,), **more: Any) -> Batch:
        """Stage and admit a batch."""
        batch = Batch(job, sizes, **more)
        self.stage(batch, *range(len(sizes)))
        assert self.admit(batch)[0] == "admitted"
        return batch

    def claim(self, job: str, n: int, holder: str, room: int = 0) -> Answer:
        """Claim a chunk, and with some room others like it; return the answer for the chunk itself."""
        return list(self.claim_group(job, n, holder, room)[0])

    def claim_group(self, job: str, n: int, holder: str, room: int = 10) -> Answer:
        group = {"room": room, "chunks": GROUP}
        self.scripts.run("claim", {"job": job, "chunk": n, "holder": holder, "group": group, **self._times})
        answer = self.model.claim(job, n, holder, self.limits, room)
        return list(self._note(f"claim {job}:{n} {holder} {room}", answer))

    def complete(self, job: str, n: int, holder: str = "", **done: Any) -> Answer:
        """Complete a chunk; its items were updated, unless `counts` says otherwise.

        The answer: the verdict, the shares, what was claimed to go on with, if one chunk was, and what to notify for.
        """
        shares, taken, to_notify, _, verdict = self.complete_group([(job, n)], holder, **done)
        assert len(taken) <= 1
        return [verdict, shares, taken[0] if taken else None, *to_notify]

    def complete_group(
        self, chunks: Sequence[tuple[str, int]], holder: str = "", room: int = 10, **done: Any
    ) -> Answer:
        """Complete chunks, each in the same way."""
        verdicts = []
        for job, n in chunks:
            size = self.model.jobs[job].chunks[n].size if job in self.model.jobs else 1
            one: dict[str, Any] = {"counts": {"updated": size}, "packed": f"packed {job} {n}", "keep": False}
            verdicts.append((job, n, one | {"answered": True} | done))
        done_now = [_named(job, n, one) for job, n, one in verdicts]
        group = {"room": room, "chunks": GROUP}
        self.scripts.run(
            "complete",
            {"done": done_now, "holder": holder, "group": group, **self._times},
            *(one["packed"] for _, _, one in verdicts),
        )
        answer = self.model.complete(verdicts, holder, self.limits, room)
        return list(self._note(f"complete {verdicts} {holder} {room}", answer))

    def place(
        self, *jobs: tuple[str, str, list[str]], database: str = "demo", holder: str = "p", room: int = 10
    ) -> Answer:
        """Place jobs, each with the one up to which it waits for all, or "", and those it waits for one by one."""
        placed = list(jobs)
        placements = [{"job": job, "behind": last, "after": earlier} for job, last, earlier in placed]
        arguments = {"database": database, "holder": holder, "placements": placements, **self._times}
        self.scripts.run("place", arguments | {"group": {"room": room, "chunks": GROUP}})
        return list(
            self._note(f"place {placed} {holder}", self.model.place(database, placed, holder, self.limits, room))
        )

    def release(self, job: str, n: int, holder: str, **wait: Any) -> str:
        """Give a chunk back; by default its database is to blame and left alone for a second."""
        return str(self.release_group([(job, n)], holder, **wait)[0])

    def release_group(self, chunks: list[tuple[str, int]], holder: str, **wait: Any) -> Answer:
        """Give chunks back in the same way."""
        expected: dict[str, Any] = {"after_ms": 1_000, "open_circuit_ms": 1_000, "unexplained": False, "to_blame": True}
        expected |= {"reason": "away", "too_slow": False, "isolation": ""} | wait
        named = [{"job": job, "chunk": n} for job, n in chunks]
        arguments = {"holder": holder, "chunks": named, "counts_toward_deadline": expected["to_blame"]}
        self.scripts.run("release", expected | arguments | self._times)
        answer = self.model.release(chunks, holder, expected, self.limits)
        return list(self._note(f"release {chunks} {holder} {expected}", answer))

    def cancel(self, job: str) -> Answer:
        self.scripts.run("cancel", {"job": job, **self._times})
        return list(self._note(f"cancel {job}", self.model.cancel(job, self.limits)))

    def purge(self, job: str) -> str:
        self.scripts.run("purge", {"job": job})
        return str(self._note(f"purge {job}", self.model.purge(job)))

    def listing(
        self, *databases: str, client: str = "ann", first: int = 0, count: int = 2, state: str = "", among: int = 3
    ) -> Answer:
        arguments = {"client": client, "databases": databases, "first": first, "count": count}
        self.scripts.run("list", arguments | {"state": state, "window": among})
        answer = self.model.listing(client, first, count, state, among, list(databases))
        return list(self._note(f"list {client} {first} {count} {state} {among} {databases}", answer))

    def overdue(self, database: str = "demo", waiting: int = 0, limit: int = SWEPT_AT_ONCE) -> list[str]:
        self.scripts.run("overdue", {"database": database, "waiting": waiting, "limit": limit, **self._times})
        answer = self.model.overdue(database, waiting, limit, self.limits)
        return list(self._note(f"overdue {database} {waiting} {limit}", answer))

    def reclaim(self, holder: str) -> list[str]:
        self.scripts.run("reclaim", {"holder": holder})
        return list(self._note(f"reclaim {holder}", self.model.reclaim(holder)))

    def settle(self, highest: int, database: str = "demo") -> str:
        self.scripts.run("settle", {"database": database, "highest": highest})
        return str(self._note(f"settle {database} {highest}", self.model.settle(database, highest)))

    def rewrap(self, job: str, held: str, anew: str, name: str = "", fingerprint: str = "") -> str:
        arguments = {"job": job, "wrapped": held, "rewrapped": anew, "fingerprint": fingerprint}
        self.scripts.run("rewrap", arguments | {"idempotency": f"c:{name}" if name else ""})
        answer = self.model.rewrap(job, held, anew, name, fingerprint)
        return str(self._note(f"rewrap {job} {held} {anew} {name} {fingerprint}", answer))

    def deliver(self, webhook: str, holder: str, lease_ms: int = 60_000) -> Answer:
        self.scripts.run("deliver", {"webhook": webhook, "holder": holder, "lease_ms": lease_ms})
        answer = self.model.webhooks.deliver(webhook, holder, lease_ms, self.model.now_ms)
        return list(self._note(f"deliver {webhook} {holder}", answer))

    def delivered(self, webhook: str, holder: str, found: Answer, verdict: str = "delivered", pause_ms: int = 0) -> str:
        """Note the end of an attempt at what was found to deliver; the next one is in five seconds."""
        job, event, *_ = found
        reason, after_ms, kept = "status 500", 5_000, 2
        arguments = {"webhook": webhook, "holder": holder, "job": job, "event": event, "verdict": verdict}
        self.scripts.run(
            "delivered", arguments | {"after_ms": after_ms, "reason": reason, "kept": kept, "pause_ms": pause_ms}
        )
        how = (verdict, after_ms, reason, kept, pause_ms)
        answer = self.model.webhooks.delivered(webhook, holder, job, event, how, self.model.now_ms)
        return str(self._note(f"delivered {webhook} {holder} {job} {event} {verdict}", answer))

    def replay(self, webhook: str, most: int = 10, kept_ms: int = 7_200_000) -> int:
        self.scripts.run("replay", {"webhook": webhook, "limit": most, "kept_ms": kept_ms})
        now = self.model.now_ms
        answer = self.model.webhooks.replay(webhook, most, now + kept_ms, now)
        return int(self._note(f"replay {webhook} {most}", answer))

    def seen(self, worker: str, ahead_ms: str = "") -> int:
        self.scripts.run("seen", {"worker": worker, "ahead_ms": ahead_ms or None})
        return int(self._note(f"seen {worker} {ahead_ms}", self.model.seen(worker, ahead_ms)))

    def spend(
        self, client: str, each_us: float, burst: int, needed: int = 1, ahead: int = 0, unused_us: int = 0
    ) -> list[int]:
        more = {"needed": needed, "ahead": ahead, "unused_us": unused_us}
        self.scripts.run("spend", {"client": client, "us_per_request": each_us, "burst": burst, **more})
        answer: list[int] = self._note(
            f"spend {client} {each_us} {burst} {more}", self.model.spend(client, each_us, burst, **more)
        )
        return answer

    def elapse(self, ms: float) -> None:
        self.model.elapse(round(ms * 1000))
        self.scripts.be_at(self.model.now_us)
        self._note(f"elapse {ms} ms", None)

    def spoil(self, *commands: Sequence[object]) -> None:
        """Do to the keys what no script does, and what was done to the model before."""
        self.scripts.spoil(*commands)
        self._note(f"spoil {commands}", None)

    def _note(self, text: str, answer: Any) -> Any:
        self.steps.append(Step(text, answer, self.model.everything()))
        return answer
