"""Checks of a role before it starts: Redis responds, and some caller could authenticate."""

from carecase_worker.cli.waiting import deadline
from carecase_worker.errors import CareCaseError, SettingsError
from carecase_worker.settings.model import Settings
from carecase_worker.settings.urls.services import without_credentials
from carecase_worker.store.redis.checkup import reach
from carecase_worker.tokens import lacks_secret

_WITHIN_S = 10


def await_redis(settings: Settings) -> None:
    """Wait until Redis responds. Raises StoreUnavailable, or DeadlineExceeded after ten seconds."""
    url = without_credentials(settings.redis.url.get_secret_value())
    try:
        with deadline(f"the answer of Redis ({url})", _WITHIN_S):
            reach(settings.redis)
    except CareCaseError as error:
        error.add_note(f"redis.url is {url}; carecase doctor checks it and the rest.")
        raise


def check_callers(settings: Settings) -> None:
    """Refuse to serve if no caller could authenticate. Raises SettingsError."""
    jwt = settings.jwt
    if settings.intake.require == "both" and set(jwt.algorithms) == {"HS256"} and lacks_secret(jwt):
        raise SettingsError(
            "jwt.secret: is not set, so no token is valid and no caller could authenticate; set CARECASE_JWT_SECRET, or"
            " CARECASE_JWT_SECRET_FILE to a file with it (make one with: openssl rand -hex 32)"
        )
