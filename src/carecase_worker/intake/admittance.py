"""Who may come in, and how often: credentials, then the rate."""

from dataclasses import dataclass, field
from datetime import timedelta

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.clock import system_async_sleep
from carecase_worker.errors import AccessRefused, RateExceeded
from carecase_worker.intake.auth import Caller, Gate
from carecase_worker.jobs.rates import Rates

_THREADS = 40


@dataclass(frozen=True, slots=True)
class Admittance:
    """The gate and the rate, asked together in one thread of their own: bodies that are read do not delay them.

    A refusal is held for a while: to whoever asks again at once, connections are worth few requests then, and those of
    others do not wait behind them.
    """

    gate: Gate
    rates: Rates
    hold: timedelta
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_THREADS))

    async def admit(self, api_key: str | None, authorization: str | None) -> Caller:
        """The caller of a request. Raises AccessRefused, KeysUnavailable, RateExceeded."""
        try:
            return await run_sync(self._admit, api_key, authorization, limiter=self.threads)
        except (AccessRefused, RateExceeded):
            await system_async_sleep(self.hold)
            raise

    def _admit(self, api_key: str | None, authorization: str | None) -> Caller:
        caller = self.gate.caller(api_key, authorization)
        self.rates.spend(caller.client)
        return caller
