"""All or nothing, and nothing at all: `Prefer: handling=strict` and `validateOnly`."""

from tests.acceptance.system import System
from tests.builders import a_case

BAD = {"case_Status": "far too long"}


def test_a_strict_batch_with_a_bad_item_is_not_applied(system: System, first_key: int) -> None:
    cases = [a_case(first_key), a_case(first_key + 1, **BAD), a_case(first_key + 2)]
    with system.client(Prefer="handling=strict, wait=20") as client:
        response = client.put("/care-cases-batch", json=cases)
        assert (response.status_code, response.headers["preference-applied"]) == (207, "wait=20, handling=strict")
        assert [item["status"] for item in response.json()["data"]] == [424, 422, 424]
        cases.pop(1)
        response = client.put("/care-cases-batch", json=cases)
        assert [item["body"] for item in response.json()["data"]] == ["Created", "Created"]
    inside = f"case_key >= {first_key} AND case_key < {first_key + 9}"
    assert system.query(f"SELECT case_key FROM care_case WHERE {inside} ORDER BY 1") == [(first_key,), (first_key + 2,)]


def test_a_strict_batch_fits_one_chunk(system: System, first_key: int) -> None:
    with system.client(Prefer="handling=strict") as client:
        refused = client.put("/care-cases-batch", json=[a_case(first_key + n) for n in range(1001)])
        assert refused.status_code == 422
        assert "1000 items" in refused.json()["error"]["detail"]
        accepted = client.put("/care-cases-batch", json=[a_case(first_key + n) for n in range(1000)])
        assert (accepted.status_code, accepted.headers["preference-applied"]) == (202, "handling=strict")
    assert system.final(accepted.json()["job"]["jobId"])["created"] == 1000


def test_what_is_only_validated_is_judged_and_not_kept(system: System, first_key: int) -> None:
    cases = [a_case(first_key), a_case(first_key + 1, **BAD), 5, a_case(first_key + 3, carePlan_Key=6)]
    with system.client() as client:
        before = client.get("/jobs").headers["x-pagination"]
        response = client.put("/care-plans/5/cases-batch?validateOnly=true", json=cases)
        assert response.status_code == 207
        assert [(item["status"], item["body"]) for item in response.json()["data"]] == [
            (200, "Valid"),
            (422, "case_Status: must have at most 8 characters"),
            (422, "item: must be an object"),
            (422, "carePlan_Key: must equal the care plan of the path"),
        ]
        assert client.get("/jobs").headers["x-pagination"] == before
        assert (
            client.put(
                "/care-cases-batch?validateOnly=true", content=b"[", headers={"Content-Type": "text/json"}
            ).status_code
            == 400
        )
        for misspelt in ("validateonly=true", "validateOnly=true&validateOnly=false", "preview=1", "validateOnly="):
            assert client.put(f"/care-cases-batch?{misspelt}", json=cases).status_code == 400
        many = client.put("/care-cases-batch?validateOnly=true", json=[1] * 20_001)
        assert many.status_code == 413
    assert system.query(f"SELECT count(*) FROM care_case WHERE case_key = {first_key}") == [(0,)]
