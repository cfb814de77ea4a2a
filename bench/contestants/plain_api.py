"""The plain way: FastAPI takes a batch, and a Celery task has its cases in its message."""

from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException

from bench.contestants.plain_tasks import apply

KEY = "bench"
app = FastAPI()


@app.put("/care-cases-batch", status_code=202)
def put_batch(cases: list[dict[str, Any]], x_api_key: Annotated[str, Header()]) -> dict[str, Any]:
    """Send a task; the id of its result."""
    if x_api_key != KEY:
        raise HTTPException(401)
    return {"job": {"jobId": apply.delay(cases).id}}
