"""Settings of the intake."""

from typing import Annotated, Literal

from pydantic import Field

from carecase_worker.settings.kinds import (
    Count,
    Few,
    Host,
    Network,
    Origin,
    Port,
    Rate,
    RootPath,
    Seconds,
    Share,
)
from carecase_worker.settings.sections.section import Section, seconds_setting


class IntakeSettings(Section):
    """The HTTP side."""

    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(8080, description="Port to listen on; 0 takes a free one")
    max_items: Annotated[Count, Field(le=1_000_000)] = Field(1_000_000, description="Items in one batch")
    max_body_bytes: Count = Field(1 << 30, description="Size of a decoded body")
    max_item_bytes: Count = Field(256 << 10, description="Size of one item")
    max_wait: Seconds = seconds_setting(
        "max_wait", 60, "How long an answer is held at most, whatever Prefer: wait says"
    )
    body_timeout: Seconds = seconds_setting("body_timeout", 30, "How long the next piece of a body may take to arrive")
    body_least_bytes_per_second: Count = Field(
        1000, description="How fast a body must come on the whole, once it has taken body_timeout_seconds"
    )
    large_body_bytes: Count = Field(256 << 10, description="Size up to which a body is not counted by max_bodies")
    max_bodies: Count = Field(64, description="Larger bodies that may come in at once, in each process")
    max_bodies_per_client: Count = Field(16, description="How many of them may be one client's")
    max_open_bytes: Count = Field(512 << 20, description="Memory that open bodies may hold, in each process")
    max_open_bytes_per_client: Count = Field(256 << 20, description="How much of it the bodies of one client may hold")
    body_threads: Few = Field(8, description="Threads that take bodies apart, in each process")
    body_threads_per_client: Few = Field(2, description="How many of them work for one client at a time, at most")
    request_threads_per_client: Few = Field(
        8, description="Threads for one client's requests, beside those for its bodies, in each process"
    )
    processor_share_per_client: Share = Field(
        0.25,
        description="Processors that one client's requests may use for long, in each process, while others ask, too",
    )
    processor_burst: Seconds = seconds_setting("processor_burst", 1, "How much processor time they may use at once")
    require: Literal["both", "either"] = Field(
        "both", description="Whether callers need an API key and a bearer token, or one of them"
    )
    require_user_agent: bool = Field(False, description="Refuse requests without User-Agent")
    rate_per_second: Rate = Field(
        25.0, description="Requests a second that a client may make for long, at all intakes together; 0: no limit"
    )
    rate_burst: Count = Field(50, description="Requests that a client may make at once")
    log_unknown_per_second: Count = Field(
        100, description="Lines a second in each process's log for requests of which the caller is not known, at most"
    )
    max_connections: Annotated[Count, Field(le=1_000_000)] = Field(
        800, description="Connections that are open at once, in each process; then the one that waits longest gives way"
    )
    max_requests: Count = Field(
        600, description="Requests of clients that are answered at once, in each process; below max_connections"
    )
    max_requests_per_client: Count = Field(300, description="Those of one client, likewise, held answers among them")
    max_event_streams: Count = Field(
        200, description="Streams of events that are open at once, in each process; they count as requests, too"
    )
    max_event_streams_per_client: Count = Field(50, description="Those of one client, likewise")
    event_heartbeat: Seconds = seconds_setting(
        "event_heartbeat",
        15,
        "How long a stream of events is silent at most; so long it may outlive credentials that are revoked",
    )
    max_headers: Annotated[Count, Field(ge=32)] = Field(100, description="Header lines of a request")
    max_header_bytes: Annotated[Count, Field(ge=1024)] = Field(
        32 << 10, description="Size of a request's line and headers"
    )
    refusal_hold: Seconds = seconds_setting(
        "refusal_hold",
        0.5,
        "How long the answer to wrong credentials, or to one request too many, is held at least; twice that at most",
    )
    header_timeout: Seconds = seconds_setting("header_timeout", 10, "How long a request's headers may take to come")
    idle_timeout: Seconds = seconds_setting("idle_timeout", 75, "How long a connection is kept between two requests")
    stall_timeout: Seconds = seconds_setting("stall_timeout", 30, "How long a client may leave an answer unread")
    app_page: bool = Field(True, description="Serve the page for jobs under /app")
    cors_origins: tuple[Origin, ...] = Field(
        (), description="Origins of web pages that may call the service, as https://host; none if empty"
    )
    root_path: RootPath | None = Field(
        None, description="Path prefix under which a proxy serves the service, as /carecase"
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Prefix count; none if empty",
    )
