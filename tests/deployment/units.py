"""The units for systemd, as text."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
UNITS = ROOT / "deploy" / "systemd"


def lines(unit: str, name: str) -> list[str]:
    """The values of a setting of a unit, with those of its drop-ins, in systemd's order."""
    drop_ins = [*(UNITS / "carecase-.service.d").iterdir(), *sorted((UNITS / f"{unit}.service.d").glob("*.conf"))]
    texts = [(UNITS / f"{unit}.service").read_text(), *(path.read_text() for path in drop_ins)]
    return [value for text in texts for value in re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)]
