"""While tracing is off nothing of it is imported, started or recorded; without OpenTelemetry it cannot be on."""

import subprocess
import sys

import pytest

from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.traceparent import TraceParent
from carecase_worker.tracing.tracer import UNTRACED, tracer_of

OFF = """
import sys, threading
import carecase_worker.intake.app, carecase_worker.worker.app
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.tracing.tracer import require_installed, tracer_of
require_installed(TracingSettings())
for role in ("intake", "worker"):
    tracer = tracer_of(TracingSettings(), role)
    with tracer.request("PUT", None) as span, span.child("admit", items=1): pass
    with tracer.attempt([None]) as span: span.past("claim", 1)
    tracer.close()
homes = ("carecase_worker.tracing.otlp", "carecase_worker.tracing.sending")
libraries = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "opentelemetry.proto", "requests", "google.protobuf")
print([name for name in sys.modules if name.startswith((*homes, *libraries))], threading.active_count())
"""
MISSING = """
import sys
sys.modules["opentelemetry.sdk"] = None
from carecase_worker.errors import SettingsError
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.tracing.tracer import tracer_of
try:
    tracer_of(TracingSettings.model_validate({"endpoint": "http://127.0.0.1:4318"}), "intake")
except SettingsError as error:
    print(error)
"""
SENT = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


def printed(program: str) -> str:
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=process_environment(), capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout.strip()


def test_no_library_of_tracing_is_imported_and_no_thread_started() -> None:
    assert printed(OFF) == "[] 1"


def test_without_the_extra_the_setting_says_what_to_install() -> None:
    assert printed(MISSING) == (
        "tracing.endpoint: needs OpenTelemetry, which is not installed here;"
        " run: pip install 'carecase-worker[otel]', or leave the setting out"
    )


@pytest.mark.parametrize("sent", [None, SENT])
def test_a_span_that_is_not_recorded_passes_on_what_its_client_sent(sent: TraceParent | None) -> None:
    tracer = tracer_of(TracingSettings(), "intake")
    span = tracer.request("PUT", sent)
    assert span.traceparent == sent
    assert span.child("admit") is span
    assert tracer.attempt([sent]) is UNTRACED
    assert list(tracer.samples()) == []
