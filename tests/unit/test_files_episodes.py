"""Episodes of FHIR R4 become cases; what is no episode is refused with its line."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import items_of

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.episodes import NO_PLACE, EpisodeMapping, EpisodeSplitter

EPISODE = {  # of the shape of HL7's own example
    "resourceType": "EpisodeOfCare",
    "id": "example",
    "text": {"status": "generated", "div": "<div>…</div>"},
    "identifier": [{"system": "http://example.org/sampleepisodeofcare-identifier", "value": "123"}],
    "status": "cancelled",
    "statusHistory": [{"status": "planned", "period": {"start": "2014-09-01", "end": "2014-09-14"}}],
    "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/episodeofcare-type", "code": "hacc"}]}],
    "diagnosis": [{"condition": {"reference": "Condition/stroke"}, "rank": 1}],
    "patient": {"reference": "https://fhir.example.org/r4/Patient/000123/_history/2"},
    "managingOrganization": {"reference": "Organization/hl7"},
    "period": {"start": "2014-09-01", "end": "2014-09-14T10:00:00+02:00"},
    "careManager": {"reference": "Practitioner/14", "display": "Amanda Assigned"},
}
CASE = {
    "case_Key": 123,
    "case_ID": "example",
    "case_Status": "CANCELED",
    "case_Start_Date": "2014-09-01T00:00:00Z",
    "case_End_Date": "2014-09-14T10:00:00+02:00",
    "case_Reason": "hacc",
    "case_Assign_Type": "Practitioner",
    "provider_ID": "14",
    "group_ID": "hl7",
    "subscriber_ID": "000123",
    "do_Not_Contact": False,
    "carePlan_Key": 5,
}


def cases(text: bytes, piece_bytes: int = 1 << 20) -> list[dict[str, Any]]:
    splitter = EpisodeSplitter(EpisodeMapping().of_care_plan(5))
    return [json.loads(bytes(item)) for item in items_of(text, splitter, piece_bytes)]


@given(st.integers(1, 500), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_an_episode_is_a_case_however_the_bytes_come(piece_bytes: int, between: bytes, mark: bytes) -> None:
    text = mark + between.join([json.dumps(EPISODE).encode()] * 2)
    assert cases(text, piece_bytes) == [CASE] * 2


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"identifier": [{"value": "A-1"}, {"value": "77"}]}, 77),
        ({"identifier": [], "id": "88"}, 88),
        ({"identifier": [{"value": "A-1"}]}, "A-1"),
        ({"identifier": [{"value": "2147483647"}, {"value": "77"}]}, 2**31 - 1),
    ],
)
def test_the_key_is_an_identifier_that_is_a_number_or_the_id(changes: dict[str, Any], key: int | str) -> None:
    assert cases(json.dumps({**EPISODE, **changes}).encode())[0]["case_Key"] == key


@pytest.mark.parametrize(
    ("status", "expected"),
    [("active", "ACTIVE"), ("waitlist", "WAITLIST"), ("onhold", "ONHOLD"), ("entered-in-error", "ERROR")],
)
def test_a_status_fits_its_field(status: str, expected: str) -> None:
    assert cases(json.dumps({**EPISODE, "status": status}).encode())[0]["case_Status"] == expected


def test_what_an_episode_does_not_have_its_case_does_not_have() -> None:
    bare = {"resourceType": "EpisodeOfCare", "status": "active", "identifier": [{"value": "1" * 11}], "id": "7"}
    typed = {"careManager": {"type": "Group", "reference": "#contained"}, "period": {"start": "2014-09"}}
    plain = {"case_Key": 7, "case_ID": "7", "case_Status": "ACTIVE", "do_Not_Contact": False, "carePlan_Key": 5}
    assert cases(json.dumps(bare).encode()) == [plain]
    assert cases(json.dumps({**bare, **typed}).encode()) == [
        {**plain, "case_Assign_Type": "Group", "case_Start_Date": "2014-09"}
    ]


def test_files_that_were_put_together_are_read_as_one() -> None:
    file = codecs.BOM_UTF8 + json.dumps(EPISODE).encode() + b"\n"
    assert cases(file + file) == [CASE, CASE]


def test_the_page_on_files_lists_what_has_no_place() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "files.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("A case has no field for"))
    assert re.findall(r"`(\w+)`", line) == [part for part in NO_PLACE if " " not in part]


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b'{"resourceType":"Patient","status":"x"}', b'{"resourceType":1}', b"\xff",
        b'{"contained":' + b"[" * 100_000,
    ],
    ids=lambda line: repr(line)[:40],
)  # fmt: skip
def test_what_is_no_episode_is_reported_with_its_line(line: bytes) -> None:
    good = json.dumps(EPISODE).encode() + b"\n\n"
    for piece_bytes in (1 << 20, len(good), max(1, len(line) // 10)):
        with pytest.raises(BatchRefused, match="Line 3 is not an EpisodeOfCare of FHIR R4") as refused:
            cases(good + line + b"\n", piece_bytes)
        assert refused.value.fault is BatchFault.BAD_FILE


def test_a_file_of_nothing_is_empty_and_a_line_is_bounded() -> None:
    with pytest.raises(BatchRefused, match="The batch is empty"):
        cases(b"\n \n")
    with pytest.raises(BatchRefused, match="Line 1 begins a row of more than"):
        cases(b"x" * (1 << 20), 1000)


def test_it_tells_how_much_of_a_line_it_holds() -> None:
    """The intake bounds by it what a client may have open."""
    line = json.dumps(EPISODE).encode() + b"\n"
    splitter = EpisodeSplitter(EpisodeMapping())
    for piece, held in ((line[:100], 100), (line[100:150], 150), (line[150:] + line[:7], 7), (line[7:], 0)):
        splitter.feed(piece)
        assert splitter.buffered_bytes == held
