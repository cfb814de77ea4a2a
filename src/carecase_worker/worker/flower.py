"""The operators' page: Flower, behind a password, for looking only.

Flower is put together here, and not by its own command: that one reads flowerconfig.py and FLOWER_… variables, splits
credentials at commas, and leaves some pages open. Every request passes the password before it finds its handler.
"""

import base64
import binascii
import hmac
import logging
import secrets
import signal
from typing import Any, cast

from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings
from flower.utils import prepend_url
from pydantic import SecretStr
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import RedirectHandler, RequestHandler

from carecase_worker.errors import SettingsError
from carecase_worker.jobs.checkup import refuse_unsupported
from carecase_worker.jobs.queue import celery_app
from carecase_worker.settings.model import FlowerSettings, Settings
from carecase_worker.telemetry import configure_logging

_HEALTH = "healthcheck"
_MOST_BODY_BYTES = 1 << 20


def run_flower(settings: Settings) -> None:
    """Serve Flower until told to stop. Raises SettingsError without a password for it, or if its port is taken.

    It speaks to the broker as a user of its own, if one is configured, and sees doorbells: ids, no case.
    """
    configure_logging(settings.log)
    logging.getLogger("tornado.access").propagate = False
    page = create_flower(settings)
    flower = settings.flower
    try:
        sockets = bind_sockets(flower.port, address=flower.host)
    except OSError as error:
        raise SettingsError(
            f"flower.port: {flower.port} of {flower.host} (flower.host) cannot be listened on ({error.strerror})"
        ) from None
    HTTPServer(page, max_body_size=_MOST_BODY_BYTES, max_buffer_size=_MOST_BODY_BYTES).add_sockets(sockets)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: page.io_loop.add_callback_from_signal(page.stop))
    page.start()


def create_flower(settings: Settings) -> "GuardedFlower":
    """Flower as a web application. Raises SettingsError without a password for it."""
    flower = settings.flower
    if flower.password is None:
        raise SettingsError(
            "flower.password: is required; set CARECASE_FLOWER_PASSWORD or CARECASE_FLOWER_PASSWORD_FILE"
        )
    if settings.broker.url is None and settings.flower_broker_url.startswith(("redis://", "rediss://")):
        # it is the job store's server, as Flower's own user
        # of which the URL has the password
        lesser = {"url": SecretStr(settings.flower_broker_url), "password": None}
        refuse_unsupported(settings.redis.model_copy(update=lesser))
    inner = secrets.token_hex(32)
    _set_options(flower.url_prefix, f"flower:{inner}")
    return GuardedFlower(flower, inner, capp=celery_app(settings, settings.flower_broker_url))


def is_known(header: str, flower: FlowerSettings) -> bool:
    """Whether an Authorization header has the page's user and password. Takes as long for a wrong one as for the right.

    Programs encode letters outside ASCII in UTF-8, as the page asks them to, or in Latin-1.
    """
    scheme, _, encoded = header.strip().partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    password = flower.password.get_secret_value() if flower.password else ""
    right = f"{flower.user}:{password}"
    forms = [right.encode(), right.encode("latin-1")] if _is_latin(right) else [right.encode()]
    # of equal length, whatever is given: the comparison itself tells not even that
    matches = [hmac.compare_digest(_digest(given), _digest(form)) for form in forms]
    return any(matches) and scheme.lower() == "basic"


class GuardedFlower(Flower):  # type: ignore[misc]  # it has no types
    """Flower that asks for the password before it looks for what serves a request; all but its health is behind it."""

    def __init__(self, flower: FlowerSettings, inner: str, **options: Any) -> None:
        root = f"/{flower.url_prefix}"
        places = {name: prepend_url(flower_settings[name], root) for name in ("login_url", "static_url_prefix")}
        super().__init__(options=default_options, **{**flower_settings, **places}, **options)
        self.add_handlers(".*", [(root, RedirectHandler, {"url": f"{root}/", "permanent": False})])
        self._flower = flower
        self._health = f"{root}/{_HEALTH}"
        self._inner = base64.b64encode(f"flower:{inner}".encode()).decode()

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """The handler of a request, or one that asks for the password."""
        is_let_in = is_known(request.headers.get("Authorization", ""), self._flower)
        if not is_let_in and request.path != self._health:
            return self.get_handler_delegate(request, _Refused)
        if is_let_in:  # Flower checks once more, in its own way, which knows ASCII only
            request.headers["Authorization"] = f"Basic {self._inner}"
        return super().find_handler(request, **options)


class _Refused(RequestHandler):
    """Asks for the password, whatever the request is for."""

    def check_xsrf_cookie(self) -> None:
        """Leave that to those who are let in."""

    def prepare(self) -> None:
        """Answer 401."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="flower", charset="UTF-8"')
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("User and password of the page are wanted (flower.user, flower.password).\n")


def _set_options(url_prefix: str, credentials: str) -> None:
    """Set Flower's options, which are those of its process."""
    options = cast(Any, default_options)
    options.url_prefix = url_prefix
    options.basic_auth = [credentials]
    options.read_only = True
    options.tasks_columns = "name,uuid,state,args,received,runtime,worker"
    options.db = ""
    options.persistent = False
    options.task_runtime_metric_buckets = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]


def _is_latin(text: str) -> bool:
    return all(ord(sign) < 256 for sign in text)


def _digest(text: bytes) -> bytes:
    return hmac.digest(b"", text, "sha256")
