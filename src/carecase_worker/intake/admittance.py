"""Who may come in, and how often: credentials, then the rate."""

from dataclasses import dataclass, field

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.intake.auth import Caller, Gate
from carecase_worker.jobs.rates import Rates

_THREADS = 40


@dataclass(frozen=True, slots=True)
class Admittance:
    """The gate and the rate, asked together in one thread of their own: bodies that are read do not delay them."""

    gate: Gate
    rates: Rates
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_THREADS))

    async def admit(self, api_key: str | None, authorization: str | None) -> Caller:
        """The caller of a request. Raises AccessRefused, KeysUnavailable, RateExceeded."""
        return await run_sync(self._admit, api_key, authorization, limiter=self.threads)

    def _admit(self, api_key: str | None, authorization: str | None) -> Caller:
        caller = self.gate.caller(api_key, authorization)
        self.rates.spend(caller.client)
        return caller
