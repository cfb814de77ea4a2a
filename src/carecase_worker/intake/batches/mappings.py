"""The mappings for the clients' files, built once from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carecase_worker.errors import BatchFault, BatchRefused, SettingsError
from carecase_worker.files.episodes import NAME as EPISODES
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.mapping import FileMapping, MappingMistakes, mapping_of
from carecase_worker.files.media_types import FHIR, media_type_for
from carecase_worker.settings.places import closest
from carecase_worker.settings.sections.access import ClientSettings


@dataclass(frozen=True, slots=True)
class Mappings:
    """The mappings of each client, by name."""

    by_client: Mapping[str, Mapping[str, FileMapping]]

    @classmethod
    def of(cls, clients: Mapping[str, ClientSettings]) -> "Mappings":
        """Build the mappings of all clients. Raises SettingsError with every mistake."""
        mistakes: list[str] = []
        made: dict[str, dict[str, FileMapping]] = {}
        for client, settings in clients.items():
            made[client] = {}
            for name, file in settings.files.items():
                try:
                    made[client][name] = mapping_of(file)
                except MappingMistakes as error:
                    place = f"clients.{client}.files.{name}"
                    mistakes += [f"{place}.{setting}: {text}" for setting, text in error.mistakes]
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return cls(made)

    def find(self, client: str, name: str | None, care_plan: int | None) -> FileMapping | EpisodeMapping | None:
        """Return a mapping of a client, or a built-in one; None without a name.

        Raises BatchRefused if there is none of that name.
        """
        if name is None:
            return None
        if name == EPISODES:
            return EpisodeMapping().of_care_plan(care_plan)
        own = self.by_client.get(client, {})
        if name not in own:
            close = closest(name, own)
            meant = f"; did you mean {close}?" if close else "."
            raise BatchRefused(
                BatchFault.NO_MAPPING,
                f"This client has no mapping of that name{meant} Ask the operator of the service for it, or leave out"
                " mapping and name the columns as the fields.",
            )
        return own[name]

    def documents(self, client: str) -> list[dict[str, Any]]:
        """Return the mappings that a client may name, the shipped one last, with what its files are."""
        own = [_document(name, mapping) for name, mapping in self.by_client.get(client, {}).items()]
        return [*own, _EPISODES]


def _document(name: str, mapping: FileMapping) -> dict[str, Any]:
    return {
        "name": name,
        "mediaType": media_type_for(mapping),
        "encoding": mapping.encoding,
        "delimiter": None if mapping.places else mapping.delimiter,
        "hasHeader": mapping.has_header,
        "skippedLines": mapping.skipped_lines,
        "skippedLastLines": mapping.skipped_last_lines,
    }


_EPISODES = {
    "name": EPISODES,
    "mediaType": FHIR,
    "encoding": "utf-8",
    "delimiter": None,
    "hasHeader": False,
    "skippedLines": 0,
    "skippedLastLines": 0,
}
"""The shipped mapping, as it is told."""
