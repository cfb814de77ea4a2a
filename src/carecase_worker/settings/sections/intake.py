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
    max_items: Annotated[Count, Field(le=1_000_000)] = Field(1_000_000, description="Most items in one batch")
    max_body_bytes: Count = Field(1 << 30, description="Largest size of a body, decoded")
    max_item_bytes: Count = Field(256 << 10, description="Largest size of one item")
    max_wait: Seconds = seconds_setting("max_wait", 60, "Longest wait of a long poll, whatever Prefer: wait says")
    body_timeout: Seconds = seconds_setting("body_timeout", 30, "How long the next piece of a body may take to arrive")
    body_least_bytes_per_second: Count = Field(
        1000, description="Lowest average rate of a body, once it has taken longer than body_timeout_seconds"
    )
    large_body_bytes: Count = Field(256 << 10, description="Size above which a body counts toward max_bodies")
    max_bodies: Count = Field(64, description="Most large bodies that are received at once, in each process")
    max_bodies_per_client: Count = Field(
        16, description="Most large bodies of one client that are received at once, in each process"
    )
    max_open_bytes: Count = Field(
        512 << 20, description="Most memory that bodies being received may take, in each process"
    )
    max_open_bytes_per_client: Count = Field(
        256 << 20, description="Most memory that one client's bodies may take, in each process"
    )
    body_threads: Few = Field(8, description="Threads that split bodies into items, in each process")
    body_threads_per_client: Few = Field(
        2, description="Most threads that split one client's bodies at a time, in each process"
    )
    request_threads_per_client: Few = Field(
        8, description="Most threads for one client's other requests, in each process"
    )
    processor_share_per_client: Share = Field(
        0.25,
        description="Processors that one client may use while others ask, too, in each process; 0.25: a quarter of one",
    )
    processor_burst: Seconds = seconds_setting(
        "processor_burst", 1, "Processor time that one client may use in a burst"
    )
    require: Literal["both", "either"] = Field(
        "both", description="both: callers need an API key and a bearer token; either: one of them"
    )
    require_user_agent: bool = Field(False, description="Refuse requests without User-Agent")
    rate_per_second: Rate = Field(
        25.0, description="Sustained requests a second of one client, at all intakes together; 0: no limit"
    )
    rate_burst: Count = Field(50, description="Requests that one client may make in a burst")
    log_unknown_per_second: Count = Field(
        100, description="Most log lines a second for requests of unknown callers, in each process"
    )
    max_connections: Annotated[Count, Field(le=1_000_000)] = Field(
        800,
        description="Most open connections, in each process; beyond it the one that has been idle longest is closed",
    )
    max_requests: Count = Field(
        600, description="Most client requests in progress, in each process; must be below max_connections"
    )
    max_requests_per_client: Count = Field(
        300, description="Most requests of one client in progress, long polls included, in each process"
    )
    max_event_streams: Count = Field(
        200, description="Most open streams of events, in each process; they also count as requests"
    )
    max_event_streams_per_client: Count = Field(
        50, description="Most open streams of events of one client, in each process"
    )
    event_heartbeat: Seconds = seconds_setting(
        "event_heartbeat",
        15,
        "Longest silence of a stream of events, and longest time that a stream outlives revoked credentials",
    )
    max_headers: Annotated[Count, Field(ge=32)] = Field(100, description="Most header lines of a request")
    max_header_bytes: Annotated[Count, Field(ge=1024)] = Field(
        32 << 10, description="Largest size of a request line with its headers"
    )
    refusal_hold: Seconds = seconds_setting(
        "refusal_hold",
        0.5,
        "Shortest delay of the response to wrong credentials or to a request beyond the rate; at most twice that",
    )
    header_timeout: Seconds = seconds_setting("header_timeout", 10, "How long a request's headers may take to arrive")
    idle_timeout: Seconds = seconds_setting("idle_timeout", 75, "How long a connection is kept between two requests")
    stall_timeout: Seconds = seconds_setting("stall_timeout", 30, "How long a client may leave a response unread")
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
