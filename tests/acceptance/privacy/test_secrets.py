"""A secret of the service is in no output, and no argument of a process."""

import json

from tests.acceptance.privacy.places import arguments
from tests.acceptance.system import System


def test_no_secret_is_printed_or_seen_on_the_machine(sealed: System) -> None:
    document = json.loads((sealed.data_dir / "secrets.json").read_text())
    secrets = [*document.pop("api_keys").values(), *document.values()]
    assert len(secrets) > 6
    seen = sealed.logs() + arguments(sealed)
    assert [secret for secret in secrets if secret in seen] == []
