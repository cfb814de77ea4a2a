"""The operators' page: Flower, behind a password and read-only.

Flower is assembled here, and not by its own command, which reads flowerconfig.py and FLOWER_… variables, splits
credentials at commas, and leaves some pages unprotected. Every request needs the password before it is routed. The page
shows reports of workers and never queries them: remote control is off, and its Redis user is read-only.
"""

import logging
import secrets
import signal
from datetime import timedelta
from typing import Any, cast

from flower.events import Events
from flower.options import default_options
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.clock import SystemClock, system_sleep
from carecase_worker.errors import SettingsError, StoreUnavailable
from carecase_worker.flower.door import BoundedServer, GuardedFlower
from carecase_worker.flower.job_links import with_line
from carecase_worker.flower.task_events import flower_redis, listen, setting_of_broker
from carecase_worker.settings.model import RedisSettings, Settings
from carecase_worker.store.redis.checkup import refuse_unsupported
from carecase_worker.telemetry import SHORT_BOUNDS_S, configure_logging, logger

_MOST_CONNECTIONS = 200
_MOST_BODY_BYTES = 1 << 20
_MOST_HEADER_BYTES = 32 << 10
_IDLE_S, _BODY_S = 75, 30
_TASKS_KEPT, _WORKERS_KEPT = 5_000, 500
"""Maximum number of tasks and workers in memory, the newest ones; more would take more than 150 MB."""
_OFFLINE_SHOWN_S = 3600
_AGAIN_AFTER = timedelta(seconds=1)

_log = logger("flower")


def run_flower(settings: Settings) -> None:
    """Serve Flower until stopped by a signal. Raises SettingsError without a password, or if its port is taken.

    It connects to the broker as its own user, if one is configured, and sees only notifications: ids, no cases.
    """
    configure_logging(settings.log)
    logging.getLogger("tornado.access").disabled = True
    page = create_flower(settings)
    flower = settings.flower
    try:
        sockets = bind_sockets(flower.port, address=flower.host)
    except OSError as error:
        raise SettingsError(
            f"flower.port: cannot listen on port {flower.port} of {flower.host} (flower.host) ({error.strerror})"
        ) from None
    server = BoundedServer(
        page,
        most=_MOST_CONNECTIONS,
        max_body_size=_MOST_BODY_BYTES,
        max_buffer_size=_MOST_BODY_BYTES,
        max_header_size=_MOST_HEADER_BYTES,
        idle_connection_timeout=_IDLE_S,
        body_timeout=_BODY_S,
    )
    server.add_sockets(sockets)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: page.io_loop.add_callback_from_signal(page.stop))
    page.start()


def create_flower(settings: Settings) -> "GuardedFlower":
    """Return Flower as a web application. Raises SettingsError without a password for it."""
    flower = settings.flower
    if flower.password is None:
        raise SettingsError(
            "flower.password: is required; set CARECASE_FLOWER_PASSWORD or CARECASE_FLOWER_PASSWORD_FILE"
        )
    redis = None if settings.flower_broker_url.startswith("amqp") else flower_redis(settings)
    if settings.broker.url is None and settings.flower_broker_url.startswith(("redis://", "rediss://")) and redis:
        # it is the job store's server, as Flower's own user
        refuse_unsupported(redis)
    inner = secrets.token_hex(32)
    _set_options(flower.url_prefix, f"flower:{inner}")
    app = celery_app(settings, settings.flower_broker_url)
    return GuardedFlower(flower, inner, redis and _subscribed_events(redis, settings, app), capp=app)


class _SubscribedEvents(Events):  # type: ignore[misc]  # it has no types
    """Flower's event thread, for a Redis user that may only subscribe."""

    def __init__(self, redis: RedisSettings, settings: Settings, **options: Any) -> None:
        super().__init__(enable_events=False, **options)
        self._redis = redis
        self._broker_prefix = settings.broker.prefix
        self._setting = setting_of_broker(settings)
        self._clock = SystemClock()

    def on_event(self, event: dict[str, Any]) -> None:
        """Pass an event to the page's own thread."""
        self.io_loop.add_callback(self._take, event)

    def _take(self, event: dict[str, Any]) -> None:
        """Process an event; drop the oldest worker if there are too many.

        A restarted worker has a new name, and Flower would keep the counts of each for ever.
        """
        state = self.state
        state.event(event)
        if len(state.counter) > _WORKERS_KEPT:
            oldest = next(name for name in state.counter if name != event["hostname"])
            del state.counter[oldest]
            state.workers.pop(oldest, None)
            state.metrics.remove_workers({oldest})

    def run(self) -> None:
        """Listen for ever; reconnect when the connection breaks."""
        while True:
            try:
                for events in listen(self._redis, self._broker_prefix, self._setting):
                    for event in events:
                        self.on_event({**event, "local_received": self._clock.now().timestamp()})
            except (StoreUnavailable, OSError) as error:
                _log.warning("not listening", reason=str(error), error=type(error).__name__)
            system_sleep(_AGAIN_AFTER)


def _subscribed_events(redis: RedisSettings, settings: Settings, app: Any) -> Events:
    kept = {"max_workers_in_memory": _WORKERS_KEPT, "max_tasks_in_memory": _TASKS_KEPT}
    return _SubscribedEvents(redis, settings, capp=app, io_loop=IOLoop.current(), **kept)


def _set_options(url_prefix: str, credentials: str) -> None:
    """Set Flower's options, which are global in its process."""
    options = cast(Any, default_options)
    options.url_prefix = url_prefix
    options.basic_auth = [credentials]
    options.read_only = True
    options.enable_events = False
    options.max_tasks, options.max_workers = _TASKS_KEPT, _WORKERS_KEPT
    options.tasks_columns = "state,result,args,uuid,received,runtime,worker"
    options.format_task = with_line
    options.purge_offline_workers = _OFFLINE_SHOWN_S
    options.db = ""
    options.persistent = False
    options.task_runtime_metric_buckets = list(SHORT_BOUNDS_S)
