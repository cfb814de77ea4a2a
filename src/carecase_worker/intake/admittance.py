"""Who may come in, and how often: credentials, then the rate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from carecase_worker.clock import Dice, SystemDice, system_async_sleep
from carecase_worker.errors import AccessRefused, RateExceeded
from carecase_worker.intake.auth import Caller, Gate
from carecase_worker.intake.threads import Threads
from carecase_worker.jobs.rates import Rates

_THREADS, _THREADS_PER_ADDRESS = 16, 8


@dataclass(frozen=True, slots=True)
class Admittance:
    """The gate and the rate. Credentials that are not known yet are looked at by threads of their own.

    A refusal is held for a while: to whoever asks again at once, connections are worth few requests then, and those of
    others do not wait behind them.
    """

    gate: Gate
    rates: Rates
    hold: timedelta
    dice: Dice = field(default_factory=SystemDice)
    threads: Threads = field(default_factory=lambda: Threads(_THREADS, _THREADS_PER_ADDRESS))

    async def admit(
        self, api_key: str | None, authorization: str | None, address: str | None, known: Callable[[Caller], None]
    ) -> Caller:
        """The caller of a request; `known` is told of it before anything else follows, also if it comes too often.

        Raises AccessRefused, KeysUnavailable, RateExceeded.
        """
        try:
            caller = self.gate.known(api_key, authorization)
            if caller is None:
                caller = await self.threads.run(address or "", partial(self.gate.caller, api_key, authorization))
        except AccessRefused:
            await self._hold()
            raise
        excess = await self._excess(caller.client)
        if excess:
            await self._hold()  # as nobody's: it is no reason to keep the connection
        known(caller)
        if excess:
            raise excess
        return caller

    async def _hold(self) -> None:
        await system_async_sleep(self.hold * (1 + self.dice.roll()))  # many that came at once are not told at once

    async def _excess(self, client: str) -> RateExceeded | None:
        try:
            await self.rates.spend(client)
        except RateExceeded as excess:
            return excess
        return None
