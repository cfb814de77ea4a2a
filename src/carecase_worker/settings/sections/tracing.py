"""Settings of tracing."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from carecase_worker.settings.kinds import Count, HttpHeaders, OtlpUrl, Part, Seconds, Text, parse_headers
from carecase_worker.settings.sections.section import Section, seconds_setting


class TracingSettings(Section):
    """Spans of requests and of chunks, sent to a collector; off without an endpoint."""

    endpoint: OtlpUrl | None = Field(
        None,
        description="OTLP/HTTP endpoint of a collector, as http://collector:4318; needs the extra otel; off if unset",
    )
    headers: HttpHeaders | None = Field(
        None, description="Headers for the collector as name=value, separated by commas; by environment or file only"
    )
    sample_ratio: Part = Field(
        1.0,
        description="Share of the traces that begin here that is recorded, 0 to 1; for other traces the client decides",
    )
    service_name: Text = Field("carecase", description="Name of the services in traces, before -intake or -worker")
    timeout: Seconds = seconds_setting(
        "timeout", 5, "How long sending a batch of spans may take, also when a process ends"
    )
    max_spans: Annotated[Count, Field(le=1_000_000)] = Field(
        4096, description="Most spans that wait to be sent, in each process; further ones are dropped, and counted"
    )

    @property
    def by_name(self) -> Mapping[str, str]:
        """The headers by their names."""
        return parse_headers(self.headers.get_secret_value()) if self.headers else {}
