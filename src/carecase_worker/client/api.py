"""The client of the service, for programs: `connect` and `connect_async`.

    with connect("https://…", api_key=…, token=…, database=…) as client:
        for job in client.submit_all(cases):
            print(client.wait(job))

The logic of a call is written once, in `calls.py`; `blocking.py` and `asynchronous.py` execute its steps.
"""

from carecase_worker.client.access import Access
from carecase_worker.client.asynchronous import AsyncCareCases
from carecase_worker.client.blocking import CareCases, unnoticed
from carecase_worker.client.exchange.calls import Calls
from carecase_worker.client.exchange.steps import Notice
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.clock import SystemClock, SystemRandom, system_async_sleep, system_sleep, uuid7

_DEFAULT_POLICY = RetryPolicy()


def connect(
    url: str, *, api_key: str | None = None, token: str | None = None, database: str | None = None
) -> CareCases:
    """Make a client for the service at a URL. Close it, or use it in a `with` statement. Raises ClientError."""
    return connect_to(Access(url, api_key, token, database))


def connect_async(
    url: str, *, api_key: str | None = None, token: str | None = None, database: str | None = None
) -> AsyncCareCases:
    """Make the same client for asyncio; use it in an `async with` statement."""
    access = Access(url, api_key, token, database)
    return AsyncCareCases(access, _usual_calls(access), system_async_sleep)


def connect_to(access: Access, policy: RetryPolicy = _DEFAULT_POLICY, notice: Notice = unnoticed) -> CareCases:
    """Make a client for the result of `find_access`; `notice` is called with every step."""
    return CareCases(access, _usual_calls(access, policy), system_sleep, notice)


def _usual_calls(access: Access, policy: RetryPolicy = _DEFAULT_POLICY) -> Calls:
    clock = SystemClock()
    return Calls(access.database, clock, SystemRandom(), lambda: uuid7(clock), policy)
