"""Files in the shapes of partners (tests/integration/samples): taken by their mappings, and refused by their faults."""

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.commands import Carecase, carecase_alone
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.files.episodes import NAME as EPISODES

PLACE = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True)
class Sample:
    """A file of a partner: its media type, a case of it, and the refusal once something is wrong."""

    name: str
    kind: str = "text/csv"
    index: int = 0
    case: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    wrong: tuple[tuple[str, Callable[[bytes], bytes], str], ...] = ()

    @property
    def path(self) -> Path:
        return PLACE / self.name

    @property
    def mapping(self) -> str:
        return EPISODES if self.name.endswith(".ndjson") else self.path.stem


def twice(body: bytes) -> bytes:
    return body + body


def with_last(line: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body + line + b"\n"


def without(text: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(text, b"")


def as_encoded(encoding: str) -> Callable[[bytes], bytes]:
    return lambda body: body.decode().encode(encoding)


SAMPLES = (
    Sample(
        "synthea_encounters.csv",
        case={
            "case_Key": 710000001,
            "case_Start_Date": "2026-01-05T08:30:00Z",
            "case_End_Date": "2026-01-05T08:45:00Z",
            "case_Status": "AMB",
            "case_Score": 129.16,
            "case_ID": "185345009",
            "carePlan_Key": 5,
            "do_Not_Contact": False,
        },
        wrong=(
            ("the header row twice", twice, "Line 5 repeats the header row"),
            ("windows-1252", as_encoded("cp1252"), "Line 4 is not utf-8"),
            ("UTF-16", as_encoded("utf-16"), "UTF-16"),
            ("quotes lost", without(b'"'), "Line 3 has 18 cells, and there are 16 columns"),
            ("a total", with_last(b"Total" + b"," * 12 + b"3750.36,,,"), "Line 5 is the last one, has no case_Key"),
            ("a column lost", without(b"TOTAL_CLAIM_COST"), "has no column for case_Score"),
        ),
    ),
    Sample(
        "synthea_careplans.csv",
        case={
            "case_Key": "00000000-0000-4000-8000-000000000011",
            "case_Start_Date": "2026-01-05T00:00:00Z",
            "case_ID": "53950000",
            "carePlan_Key": 5,
            "do_Not_Contact": False,
        },
        fault="case_Key: must be an integer",
    ),
    Sample(
        "tmsis_health_home.psv",
        case={
            "division_ID": "06",
            "case_Key": 710000011,
            "case_ID": "000000000000MADEUP01",
            "case_Reason": "COMMUNITY CARE ENTITY",
            "case_Start_Date": "2025-07-01T00:00:00Z",
            "carePlan_Key": 5,
            "do_Not_Contact": False,
        },
        wrong=(
            ("a second file header", lambda body: body + body, "Line 5 has 14 cells, and there are 9 columns"),
            ("a delimiter lost", lambda body: body.replace(b"|20240115", b"20240115"), "Line 3 has 8 cells"),
            ("a damaged byte", lambda body: body.replace(b"MOVED", b"MOV\xffD"), "Line 3 is not utf-8"),
        ),
    ),
    Sample(
        "kentucky_mco_member.txt",
        "text/plain",
        index=1,
        case={
            "case_ID": "9000000002",
            "do_Not_Contact": True,
            "case_Key": 710000022,
            "case_Start_Date": "2024-01-15T00:00:00Z",
            "case_End_Date": "2025-12-31T00:00:00Z",
            "carePlan_Key": 5,
        },
        wrong=(
            ("UTF-16", as_encoded("utf-16"), "UTF-16"),
            ("a damaged byte", lambda body: body.replace(b"BI9000000003", b"BI\xfe000000003"), "Line 3 is not utf-8"),
        ),
    ),
    Sample(
        "batch_eligibility.csv",
        index=2,
        case={
            "case_Key": 710000033,
            "group_ID": "P2",
            "case_Start_Date": "2001-02-03T00:00:00Z",
            "carePlan_Key": 5,
            "do_Not_Contact": False,
        },
        wrong=(
            ("quotes lost", without(b'"'), "Line 1 has 14 cells, and there are 13 columns"),
            ("a count", with_last(b"Records: 3" + b"," * 12), "Line 4 is the last one, has no case_Key"),
            ("a short count", with_last(b"Records: 3"), "Line 4 has 1 cell, and there are 13 columns"),
            ("a quote that stays open", without(b' 2"'), "Line 1 begins a quoted cell that never ends"),
        ),
    ),
    Sample(
        "fhir_episodes.ndjson",
        "application/fhir+ndjson",
        index=1,
        case={
            "case_Key": 710000042,
            "case_ID": "example-2",
            "case_Status": "ERROR",
            "case_Start_Date": "2026-01-01T00:00:00Z",
            "case_Reason": "hacc",
            "case_Assign_Type": "Practitioner",
            "provider_ID": "14",
            "group_ID": "o1",
            "subscriber_ID": "p2",
            "do_Not_Contact": False,
            "carePlan_Key": 5,
        },
        wrong=(
            ("another resource", lambda body: body.replace(b"EpisodeOfCare", b"Visit", 1), "Line 1 is not an Epi"),
            ("a line cut off", lambda body: body[:-20], "Line 3 is not an EpisodeOfCare"),
        ),
    ),
)  # fmt: skip
WRONG = [(sample, what, made, words) for sample in SAMPLES for what, made, words in sample.wrong]


def name_of(value: Any) -> str | None:
    return value.path.stem if isinstance(value, Sample) else value.replace(" ", "-") if isinstance(value, str) else ""


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    files = {file.stem: tomllib.loads(file.read_text()) for file in PLACE.glob("*.toml")}
    with an_intake(servers.redis_url, "samples:", clients={"ann": {"files": files}}) as made:
        yield made


@pytest.fixture
def carecase(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Carecase:
    return carecase_alone(monkeypatch, capsys, tmp_path)


def put(intake: Intake, sample: Sample, body: bytes, **query: str) -> httpx.Response:
    with intake.client() as client:
        parameters = {"mapping": sample.mapping, **query}
        headers = {"content-type": sample.kind}
        return client.put("/care-plans/5/cases-batch", content=body, params=parameters, headers=headers)


def checked(carecase: Carecase, sample: Sample, file: Path) -> tuple[int, list[str]]:
    """How `files check` ends, and what it says."""
    mapping = sample.mapping if sample.mapping == EPISODES else str(sample.path.with_suffix(".toml"))
    ran = carecase("files", "check", str(file), "--mapping", mapping, "--care-plan", "5", "--rows", "100")
    return ran.status, [*ran.out.splitlines(), *ran.err.splitlines()]


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_a_file_is_taken_by_its_mapping(intake: Intake, carecase: Carecase, sample: Sample) -> None:
    status, output = checked(carecase, sample, sample.path)
    cases = [json.loads(line) for line in output if line.startswith("{")]
    assert cases[sample.index] == sample.case
    assert status == bool(sample.fault), output
    validated = put(intake, sample, sample.path.read_bytes(), validateOnly="true").json()["data"]
    assert {(item["status"], item["body"]) for item in validated} == {
        (422, sample.fault) if sample.fault else (200, "Valid")
    }
    response = put(intake, sample, sample.path.read_bytes())
    assert (response.status_code, response.json()["job"]["total"]) == (202, len(cases))


@pytest.mark.parametrize(("sample", "what", "made", "words"), WRONG, ids=name_of)
def test_a_faulty_file_is_refused_and_shown(
    intake: Intake, carecase: Carecase, tmp_path: Path, sample: Sample, what: str, made: Callable[[bytes], bytes],
    words: str,
) -> None:  # fmt: skip
    body = made(sample.path.read_bytes())
    response = put(intake, sample, body)
    assert (response.status_code, words in response.json()["error"]["detail"]) == (400, True), response.text
    (tmp_path / sample.name).write_bytes(body)
    status, output = checked(carecase, sample, tmp_path / sample.name)
    assert status in (1, 2), output
    assert any(words in line for line in output), output


def test_a_file_with_lines_of_old_macs_is_not_taken_for_one_row(intake: Intake) -> None:
    sample = next(one for one in SAMPLES if one.name == "batch_eligibility.csv")
    response = put(intake, sample, sample.path.read_bytes().replace(b"\n", b"\r"))
    assert (response.status_code, "carriage return" in response.json()["error"]["detail"]) == (400, True), response.text
