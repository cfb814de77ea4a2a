"""Without encryption keys, too, the broker holds ids only."""

import redis
from tests.acceptance.privacy.killing import send
from tests.acceptance.privacy.marked_cases import MARK, marked
from tests.acceptance.system import System


def test_chunks_are_legible_without_keys_and_the_broker_knows_ids_only(system: System) -> None:
    job_id = send(system, [marked(20)], database="demo_sqlite")
    system.final(job_id)
    client = redis.Redis.from_url(system.stack["redis"]["url"])
    names = list(client.scan_iter("b:*", count=1000))
    assert names
    for name in names:
        assert MARK.encode() not in (client.dump(name) or b"")
