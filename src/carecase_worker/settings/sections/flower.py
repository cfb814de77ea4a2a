"""Settings of Flower."""

from pydantic import Field

from carecase_worker.settings.kinds import BrokerUrl, Count, Host, JobUrl, Port, Secret, UrlPath, User
from carecase_worker.settings.sections.section import Section


class FlowerSettings(Section):
    """The operators' page."""

    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(5555, description="Port to listen on")
    url_prefix: UrlPath = Field("flower", description="Path under which Flower's page is served")
    user: User = Field("flower", description="User of the page")
    password: Secret | None = Field(None, description="Password of the page; by environment or file only")
    wrong_passwords_per_minute: Count = Field(
        10, description="Wrong passwords a minute from one address before that address is refused for a while"
    )
    job_url: JobUrl | None = Field(
        None, description="URL to which Flower's page of a task links, as https://host/app#/jobs/{job_id}"
    )
    broker_url: BrokerUrl | None = Field(
        None, description="URL of the broker with Flower's own user, who has fewer rights; the broker's URL if unset"
    )
    broker_password: Secret | None = Field(
        None, description="Password for Flower's broker URL; by environment or file only"
    )
