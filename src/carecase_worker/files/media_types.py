"""Formats of a body by media type (JSON, NDJSON, files of rows), and the splitter for each."""

from dataclasses import dataclass, replace
from email.message import Message
from encodings import normalize_encoding
from encodings.aliases import aliases
from enum import Enum
from typing import assert_never, get_args

from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ITEM_BYTES, ArraySplitter, Splitter
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.episodes import EpisodeMapping, EpisodeSplitter
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.settings.sections.files import Encoding

TYPES = (
    "application/json",
    "text/json",
    "application/*+json",
    "application/x-ndjson",
    "text/csv",
    "text/tab-separated-values",
)
"""Media types of a body."""

FHIR = "application/fhir+ndjson"
"""Media type of FHIR resources, one a line."""


class BodyFormat(Enum):
    """Formats of a list of items in a body."""

    ARRAY = "array"
    LINES = "lines"
    DELIMITED = "delimited"
    TABBED = "tabbed"
    FIXED = "fixed"


_FORMATS = {
    "application/json": BodyFormat.ARRAY,
    "text/json": BodyFormat.ARRAY,
    "application/x-ndjson": BodyFormat.LINES,
    "text/csv": BodyFormat.DELIMITED,
    "text/tab-separated-values": BodyFormat.TABBED,
    "text/plain": BodyFormat.FIXED,
    FHIR: BodyFormat.LINES,
}


def _codec_of(charset: str) -> str:
    """Return the module of Python's codec of this name, known or not.

    `codecs.lookup` remembers each unknown name as long as the process runs, and clients can send ever new ones.
    """
    name = normalize_encoding(charset).lower()
    return aliases.get(name) or aliases.get(name.replace(".", "_")) or name


_ENCODINGS: dict[str, str] = {_codec_of(name): name for name in get_args(Encoding)} | {"ascii": "utf-8"}


@dataclass(frozen=True, slots=True)
class MediaType:
    """The format of a body, and its encoding if the header names one."""

    format: BodyFormat
    encoding: str | None = None

    def splitter(self, mapping: FileMapping | EpisodeMapping | None, item_bytes: int = ITEM_BYTES) -> Splitter:
        """Return the splitter of a body. Raises BatchRefused if the format does not fit the mapping, or needs one."""
        if isinstance(mapping, EpisodeMapping):
            if self.format is not BodyFormat.LINES:
                raise BatchRefused(
                    BatchFault.NO_MAPPING,
                    "The mapping is for FHIR resources, one a line. Send Content-Type: application/fhir+ndjson.",
                )
            return EpisodeSplitter(mapping, item_bytes)
        match self.format:
            case (BodyFormat.ARRAY | BodyFormat.LINES) as form:
                if mapping is not None:
                    raise BatchRefused(
                        BatchFault.NO_MAPPING,
                        "The mapping is for files of rows. Leave out mapping, or send Content-Type: text/csv.",
                    )
                return ArraySplitter(item_bytes=item_bytes) if form is BodyFormat.ARRAY else LineSplitter(item_bytes)
            case BodyFormat.DELIMITED | BodyFormat.TABBED | BodyFormat.FIXED:
                return RowSplitter(self._mapping(mapping), item_bytes)
            case never:
                assert_never(never)

    def _mapping(self, mapping: FileMapping | None) -> FileMapping:
        if self.format is BodyFormat.FIXED and (mapping is None or not mapping.places):
            raise _unsupported()
        used = mapping or NAMES_OF_FIELDS
        if self.format is BodyFormat.TABBED:
            used = replace(used, delimiter="\t")
        return replace(used, encoding=self.encoding) if self.encoding else used


def media_type_of(content_type: str | None) -> MediaType:
    """Return the format of a Content-Type. Raises BatchRefused if it is not supported."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    is_json_suffix = media_type.startswith("application/") and media_type.endswith("+json")
    found = BodyFormat.ARRAY if is_json_suffix else _FORMATS.get(media_type)
    if found is None:
        raise _unsupported()
    if found in (BodyFormat.ARRAY, BodyFormat.LINES):
        return MediaType(found)
    return MediaType(found, _encoding_of(content_type or ""))


def media_type_for(mapping: FileMapping) -> str:
    """Return the media type of the files that a mapping is for."""
    if mapping.places:
        return "text/plain"
    return "text/tab-separated-values" if mapping.delimiter == "\t" else "text/csv"


def _encoding_of(content_type: str) -> str | None:
    """Return the charset of a media type; None if it has none. Raises BatchRefused if it is unknown."""
    message = Message()
    message["Content-Type"] = content_type
    charset = message.get_param("charset")
    if charset is None:
        return None
    try:
        return _ENCODINGS[_codec_of(str(charset))]
    except KeyError:
        raise BatchRefused(
            BatchFault.MEDIA_TYPE, f"The charset is not known. Send one of {', '.join(get_args(Encoding))}."
        ) from None


def _unsupported() -> BatchRefused:
    return BatchRefused(
        BatchFault.MEDIA_TYPE,
        "Send Content-Type: application/json with an array, application/x-ndjson with one case a line, or text/csv or"
        " text/tab-separated-values with a header row; text/plain is for lines of fixed width, by a mapping.",
    )
