"""The operators' page: Flower, behind a password, for looking only."""

from carecase_worker.errors import SettingsError
from carecase_worker.jobs.queue import celery_app
from carecase_worker.settings.model import Settings
from carecase_worker.telemetry import configure_logging


def run_flower(settings: Settings) -> None:
    """Serve Flower until told to stop. Raises SettingsError without a password for it.

    It speaks to the broker as a user of its own, if one is configured, and sees doorbells: ids, no case.
    """
    configure_logging(settings.log)
    flower = settings.flower
    if flower.password is None:
        raise SettingsError(
            "flower.password: is required; set CARECASE_FLOWER_PASSWORD or CARECASE_FLOWER_PASSWORD_FILE"
        )
    broker = flower.broker_url.get_secret_value() if flower.broker_url else None
    celery_app(settings, broker).start(
        [
            "--quiet",
            "flower",
            f"--address={flower.host}",
            f"--port={flower.port}",
            f"--url_prefix={flower.url_prefix}",
            f"--basic_auth={flower.user}:{flower.password.get_secret_value()}",
            "--read_only=true",
            "--tasks_columns=name,uuid,state,args,received,runtime,worker",
            "--db=",
            "--persistent=false",
            "--task_runtime_metric_buckets=0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10",
        ]
    )
