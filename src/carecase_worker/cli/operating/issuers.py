"""Checks of `carecase doctor` on bearer tokens: their secrets and keys, and the provider that signs people in."""

from collections.abc import Iterator
from typing import Annotated

import typer

from carecase_worker.cli.operating.findings import Finding, Grade
from carecase_worker.errors import CareCaseError
from carecase_worker.intake.access.jwks import jwks_of
from carecase_worker.intake.access.provider import provider_remarks
from carecase_worker.intake.access.revocations import revocations_of
from carecase_worker.plural import counted
from carecase_worker.settings.model import Settings
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.settings.urls.services import jwks_url
from carecase_worker.tokens import lacks_secret


def _page_address(text: str | None) -> str | None:
    """Check the address of the page for jobs. Raises BadParameter."""
    try:
        return None if text is None else jwks_url(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, as https://jobs.example.org/app") from None


PageAddress = Annotated[
    str | None,
    typer.Option(
        "--page",
        metavar="URL",
        callback=_page_address,
        help="Address of the page for jobs, as people open it: does the OpenID provider let it in (CORS, redirects)?",
    ),
]


def tokens(settings: Settings) -> Iterator[Finding]:
    """Yield what bearer tokens are checked by: secrets, public keys, revocations."""
    jwt = settings.jwt
    if lacks_secret(jwt):
        grade = Grade.FIX if settings.intake.require == "both" and set(jwt.algorithms) == {"HS256"} else Grade.HINT
        yield Finding(grade, "jwt.secret", "is not set, so no HS256 token is accepted; set CARECASE_JWT_SECRET")
    yield from _key_set(jwt)
    for fault in revocations_of(jwt).faults:
        yield Finding(Grade.FIX, "jwt.revoked_file", fault)
    if not jwt.require_client_id:
        text = "is off: a token without a client is accepted with any client's API key"
        yield Finding(Grade.HINT, "jwt.require_client_id", text)
    if jwt.other_secrets is not None:
        text = "are accepted, too; remove an older one when the tokens signed by it have expired"
        yield Finding(Grade.HINT, "jwt.other_secrets", text)


def _key_set(jwt: JwtSettings) -> Iterator[Finding]:
    jwks = jwks_of(jwt)
    if jwks is None:
        return
    try:
        jwks.find(None)
    except CareCaseError:
        yield Finding(Grade.FIX, jwt.jwks_source, "has no usable keys; check that it is a JWKS and can be read")
        return
    if jwks.short_keys:
        keys = counted(jwks.short_keys, "RSA key")
        yield Finding(Grade.HINT, "jwt", f"{keys} of the issuer below 2,048 bits: no token signed by it is accepted")
    yield Finding(Grade.OK, "jwt", "the issuer's keys can be read")


def sign_in(page: str | None, settings: Settings) -> Iterator[Finding]:
    """Yield the faults of the sign-in with an OpenID provider; `page` is the address of the page, if it is known."""
    found = list(provider_remarks(settings.oidc, settings.jwt, page))
    for remark in found:
        yield Finding(Grade.FIX if remark.is_mistake else Grade.HINT, remark.setting, remark.text)
    if settings.oidc.issuer is not None and not any(remark.is_mistake for remark in found):
        yield Finding(Grade.OK, "oidc", f"{settings.oidc.issuer} supports the sign-in")
