"""Settings of access: clients, bearer tokens, and the audit log."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from carecase_worker.settings.kinds import (
    Count,
    Digest,
    Keys,
    KeySetUrl,
    Name,
    Seconds,
    Secret,
    Text,
    parse_keys,
    parse_secrets,
)
from carecase_worker.settings.sections.files import FileSettings
from carecase_worker.settings.sections.section import Section, seconds_setting


class ClientSettings(Section):
    """One API client, the owner of its jobs."""

    api_key_sha256: tuple[Digest, ...] = Field((), description="SHA-256 of each of the client's API keys, in hex")
    databases: tuple[Name, ...] = Field((), description="Databases that the client may use")
    dry_runs: bool = Field(
        True,
        description="Let the client make dry runs, which tell of each field whether it holds the value that is sent",
    )
    files: Mapping[Name, FileSettings] = Field(
        {}, description="Mappings of the client's files, each a section [clients.<name>.files.<mapping>]"
    )


class JwtSettings(Section):
    """Verification of bearer tokens."""

    algorithms: tuple[Literal["HS256", "RS256", "ES256"], ...] = Field(
        ("HS256",), description="The only algorithms that a token may be signed with"
    )
    secret: Secret | None = Field(None, description="HS256 secret, 32 bytes or more; by environment or file only")
    other_secrets: SecretStr | None = Field(
        None, description="Further HS256 secrets that are accepted, separated by commas; by environment or file only"
    )
    require_client_id: bool = Field(
        True,
        description="Refuse tokens without client_id; if false, such a token is accepted with any client's API key",
    )
    revoked_file: Path | None = Field(
        None, description="List of tokens, subjects, clients and API keys that are revoked; read again when it changes"
    )
    revoked_refresh: Seconds = seconds_setting(
        "revoked_refresh", 1, "How often the list of revocations is checked for changes"
    )
    jwks_file: Path | None = Field(None, description="File with the public keys (JWKS) for RS256 and ES256")
    jwks_url: KeySetUrl | None = Field(
        None, description="URL from which the public keys are fetched instead; https, or http on this machine"
    )
    jwks_refresh: Seconds = seconds_setting("jwks_refresh", 300, "Age at which the public keys are fetched again")
    jwks_refetch: Seconds = seconds_setting(
        "jwks_refetch", 10, "Shortest time between two fetches of the public keys for tokens with an unknown key"
    )
    audience: Text | None = Field(None, description="Audience (aud) that tokens must have; required with public keys")
    issuer: Text | None = Field(None, description="Issuer (iss) that tokens must have; required with public keys")
    leeway: Seconds = seconds_setting("leeway", 30, "Clock skew that is tolerated")

    @property
    def jwks_source(self) -> str:
        """The setting that names the issuer's public keys; that of a URL if there are none."""
        return "jwt.jwks_file" if self.jwks_file else "jwt.jwks_url"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The HS256 secrets; the first one signs."""
        first = (self.secret.get_secret_value(),) if self.secret else ()
        return (*first, *parse_secrets(self.other_secrets.get_secret_value() if self.other_secrets else ""))


class AuditSettings(Section):
    """The audit log: records of reads and writes of cases, in separate files."""

    directory: Path | None = Field(
        None,
        description="Directory of the audit log, on a disk of the intake's machine; without it nothing is recorded",
    )
    keys: Keys | None = Field(
        None,
        description="Keys of its digests, id:base64 by commas; the first signs; by environment or file only",
    )
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync",
        description="fsync: nothing is done before its record is on disk; relaxed: nothing before it is written",
    )
    max_file_bytes: Count = Field(64 << 20, description="Size at which a file is closed and the next one begun")
    keep_files: Count = Field(100, description="Closed files that are kept; the oldest is removed")

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """The keys by id; the first one signs."""
        return parse_keys(self.keys.get_secret_value()) if self.keys else {}
