"""Settings of the sign-in with an OpenID provider, which the page for jobs offers."""

from urllib.parse import urlsplit

from pydantic import Field

from carecase_worker.settings.kinds import EndpointUrl, IssuerUrl, Scope, Text
from carecase_worker.settings.sections.section import Section


class OidcSettings(Section):
    """The sign-in with an OpenID provider on the page for jobs; off without an issuer."""

    issuer: IssuerUrl | None = Field(
        None,
        description="Issuer that signs people in, as https://login.example.org/realms/care; https, or this machine",
    )
    client_id: Text | None = Field(None, description="Client id of the page there: a public client, with PKCE")
    scopes: tuple[Scope, ...] = Field(
        ("openid",), description="Scopes that are asked for; some issuers give a refresh token for offline_access only"
    )
    audience: Text | None = Field(
        None, description="Audience that is asked for, where an issuer wants it; usually what jwt.audience is"
    )
    authorization_endpoint: EndpointUrl | None = Field(
        None, description="Where people sign in; as the issuer's configuration document says if unset"
    )
    token_endpoint: EndpointUrl | None = Field(
        None, description="Where the page gets tokens, likewise; must be set if it is at another host than the issuer"
    )
    end_session_endpoint: EndpointUrl | None = Field(None, description="Where people sign out, likewise")

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins that the page requests tokens from: the issuer's, and that of its token endpoint if set."""
        asked = [urlsplit(url) for url in (self.issuer, self.token_endpoint) if url is not None]
        return tuple(dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in asked))
