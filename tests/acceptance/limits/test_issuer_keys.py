"""The keys of an issuer are replaced while the service runs."""

import time
from typing import Any

import jwt
from tests.acceptance.limits.wire import FOR_US, NEW, OLD
from tests.acceptance.system import System, eventually
from tests.builders import a_jwks


def test_an_issuers_new_key_is_taken_and_its_old_one_is_not(guarded: System) -> None:
    def status(key_id: str, key: Any) -> int:
        claims = {"sub": "j.doe", "client_id": "other", "exp": int(time.time()) + 60, **FOR_US}
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})
        with guarded.client("other", Authorization=f"Bearer {token}") as client:
            return client.get("/jobs/x").status_code

    assert status("old", OLD) == 404
    assert status("old", NEW) == 401
    assert status("new", NEW) == 401
    (guarded.place / "issuer.json").write_bytes(a_jwks(new=NEW))
    eventually(lambda: status("new", NEW) == 404, what="the new key is known")
    assert status("old", OLD) == 401
