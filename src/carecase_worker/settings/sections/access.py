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
    """One API client; its jobs are its own."""

    api_key_sha256: tuple[Digest, ...] = Field((), description="SHA-256 of each of its API keys, in hex")
    databases: tuple[Name, ...] = Field((), description="The databases it may use")
    files: Mapping[Name, FileSettings] = Field(
        {}, description="Mappings of its files, each a section [clients.<name>.files.<mapping>]"
    )


class JwtSettings(Section):
    """The check of bearer tokens."""

    algorithms: tuple[Literal["HS256", "RS256", "ES256"], ...] = Field(
        ("HS256",), description="The only algorithms that a token may be signed with"
    )
    secret: Secret | None = Field(None, description="HS256 secret, 32 bytes or more; by environment or file only")
    other_secrets: SecretStr | None = Field(
        None, description="More HS256 secrets that are believed, by commas; by environment or file only"
    )
    require_client_id: bool = Field(
        True, description="Refuse tokens that name no client; else such a token goes with any client's API key"
    )
    revoked_file: Path | None = Field(
        None, description="List of tokens, subjects, clients and API keys that are revoked; read again when it changes"
    )
    revoked_refresh: Seconds = seconds_setting(
        "revoked_refresh", 1, "How often it is looked whether that list has changed"
    )
    jwks_file: Path | None = Field(None, description="File with the public keys (JWKS) for RS256 and ES256")
    jwks_url: KeySetUrl | None = Field(None, description="Where these keys are fetched instead; https, or this machine")
    jwks_refresh: Seconds = seconds_setting(
        "jwks_refresh", 300, "How old the keys may become before they are read again"
    )
    jwks_refetch: Seconds = seconds_setting(
        "jwks_refetch", 10, "How long after reading them a token with an unknown key makes them be read again"
    )
    audience: Text | None = Field(None, description="What `aud` must hold; needed with public keys")
    issuer: Text | None = Field(None, description="What `iss` must be; needed with public keys")
    leeway: Seconds = seconds_setting("leeway", 30, "Clock skew that is forgiven")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The HS256 secrets, the one that signs first."""
        held = (self.secret.get_secret_value(),) if self.secret else ()
        return (*held, *parse_secrets(self.other_secrets.get_secret_value() if self.other_secrets else ""))


class AuditSettings(Section):
    """The audit log: who read and wrote which cases, in files of its own."""

    directory: Path | None = Field(
        None, description="Directory for it, on a disk of the intake's machine; without one nothing is recorded"
    )
    keys: Keys | None = Field(
        None,
        description="Keys of its digests as id:base64, by commas; the first signs; by environment or file only",
    )
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: nothing is done before its record is on disk; relaxed: before it is written"
    )
    max_file_bytes: Count = Field(64 << 20, description="Size at which a file is closed and the next one begun")
    keep_files: Count = Field(100, description="Closed files that are kept; the oldest is removed")

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """The keys by their ids, the one that signs first."""
        return parse_keys(self.keys.get_secret_value()) if self.keys else {}
