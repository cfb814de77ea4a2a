"""Access control of callers: first the credentials, then the rate limit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from carecase_worker.clock import Random, SystemRandom, system_async_sleep
from carecase_worker.errors import AccessRefused, RateExceeded
from carecase_worker.intake.access.authenticator import Authenticator, Caller
from carecase_worker.intake.limits.threads import Threads
from carecase_worker.store.rate_limit import RateLimiter

_THREADS, _THREADS_PER_ADDRESS = 16, 8


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Authentication and rate limit. Credentials that are not cached are checked by dedicated threads.

    The response to a refusal is delayed: so a caller that retries at once makes few requests per connection, and does
    not hold up the requests of others.
    """

    gate: Authenticator
    rates: RateLimiter
    hold: timedelta
    random: Random = field(default_factory=SystemRandom)
    threads: Threads = field(default_factory=lambda: Threads(_THREADS, _THREADS_PER_ADDRESS))

    async def admit(
        self, api_key: str | None, authorization: str | None, address: str | None, known: Callable[[Caller], None]
    ) -> Caller:
        """Authenticate a request and return its caller; call `known` with it first, even if it exceeds its rate.

        Raises AccessRefused, KeysUnavailable, RateExceeded.
        """
        try:
            caller = await self.check(api_key, authorization, address)
        except AccessRefused:
            await self._hold()
            raise
        try:
            await self.rates.spend(caller.client)
        except RateExceeded:
            await self._hold()  # before `known`: such a request is no reason to keep the connection
            known(caller)
            raise
        known(caller)
        return caller

    async def check(self, api_key: str | None, authorization: str | None, address: str | None) -> Caller:
        """Authenticate credentials again; this does not count as a request.

        Raises AccessRefused, KeysUnavailable.
        """
        caller = self.gate.known(api_key, authorization)
        if caller is None:
            caller = await self.threads.run(address or "", partial(self.gate.caller, api_key, authorization))
        return caller

    async def _hold(self) -> None:
        await system_async_sleep(self.hold * (1 + self.random.random()))  # so that refusals of one moment spread out
