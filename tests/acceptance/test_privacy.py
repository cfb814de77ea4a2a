"""No value of a case gets out of the payload, the database and the result: not into logs, metrics, errors or Flower."""

import httpx
from tests.acceptance.system import System, eventually
from tests.builders import a_case

MARK = "Ozymandias"
KEY = 1_618_033_988


def test_a_marked_value_is_found_nowhere_else(system: System) -> None:
    bad = [
        a_case(KEY, case_ID=MARK, case_Status=MARK),
        a_case(KEY, case_Start_Date=MARK, case_Priority=MARK, case_Score=MARK),
        {"case_Key": KEY, MARK: MARK},
        a_case(KEY, case_ID=MARK, carePlan_Key=KEY),
        MARK,
    ]
    answers = []
    with system.client() as client:
        for path in ("/care-cases-batch", "/care-plans/5/cases-batch"):
            job_id = system.send(bad, path)
            system.final(job_id)
            answers.append(client.get(f"/jobs/{job_id}").text)
            answers.append(client.get(f"/jobs/{job_id}/result").text.replace(str(KEY), "the key, as promised"))
        for body in (f'[{{"case_ID": "{MARK}"', f'{{"case_ID": "{MARK}"}}', f'[{{"case_ID": "{MARK}\\ud800"}}]x'):
            answers.append(client.put("/care-cases-batch", content=body, headers={"content-type": "text/json"}).text)
        answers.append(client.get("/metrics").text)
    flower = system.stack["flower"]
    with httpx.Client(base_url=flower["url"], auth=(flower["user"], flower["password"]), timeout=30) as pages:
        seen = eventually(lambda: (text := pages.get("/api/tasks").text) and job_id in text and text)
        answers += [seen, pages.get("/tasks").text]
    everything = "\n".join([*answers, system.logs()])
    assert MARK not in everything
    assert str(KEY) not in everything
