"""A client of a running system."""

from tests.acceptance.system import System

from carecase_worker.client.api import connect
from carecase_worker.client.blocking import CareCases


def credentials(system: System, name: str = "demo") -> dict[str, str]:
    who = next(client for client in system.stack["clients"] if client["name"] == name)
    return {"api_key": who["api_key"], "token": who["bearer"], "database": who["databases"][0]}


def client_of(system: System, url: str | None = None, **others: str) -> CareCases:
    return connect(url or system.stack["intake"]["url"], **{**credentials(system), **others})
