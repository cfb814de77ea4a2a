"""Counts of the fields that dry runs would change."""

from collections import Counter
from collections.abc import Iterable

from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job


def changes_of(client: CareCases, jobs: Iterable[Job]) -> str:
    """Count the changed cases by field, and the unchanged ones, of final dry runs, as text.

    Empty if no case would be updated. Raises ClientError.
    """
    changed: Counter[str] = Counter()
    unchanged = 0
    for job in jobs:
        for item in client.results(job, "updated", page_size=None) if job.final and job.updated else ():
            changed.update(item.changes or ())
            unchanged += not item.changes
    fields = ", ".join(f"{count:,} {name}" for name, count in changed.most_common())
    return f"{fields or 'nothing'}; {unchanged:,} unchanged" if unchanged else fields
