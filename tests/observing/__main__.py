"""`python -m tests.observing FILE`: record what the dashboard shows of two minutes in which much goes wrong.

`docs_site/dashboard_picture.py` draws the file. The system is the one of test_alerts.py.
"""

import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.system import System
from tests.builders import a_case
from tests.observing.panels import shown
from tests.observing.watch import BACKLOG, Watch, watched_system
from tests.pausing import frozen

STEP_S = 2


def main(file: Path) -> None:
    """Run the system, send batches, let things go wrong, and write what was seen."""
    with tempfile.TemporaryDirectory(prefix="observing-") as place, watched_system(Path(place)) as (system, watch):
        began = time.time()
        go_wrong(system, watch)
        panels = [asdict(one) for one in shown(watch, began, time.time(), STEP_S)]
    for panel in panels:
        del panel["found"]
        panel["series"] = {
            name: [[round(at - began), float(f"{value:.4g}")] for at, value in points]
            for name, points in panel["series"].items()
        }
    file.write_text(json.dumps(panels, indent=None, separators=(",", ":")).replace('{"title"', '\n{"title"') + "\n")


def go_wrong(system: System, watch: Watch) -> None:
    """Send batches; meanwhile the database hangs, and the worker does."""
    send_for(system, 20)
    with frozen(system.pid("postgresql")):
        send_for(system, 2, BACKLOG // 2)
        watch.waits_for("firing", "DatabaseAway", "demo")
        time.sleep(4 * STEP_S)  # for the picture to show it
    send_for(system, 15)
    with frozen(*system.stack["processes"]["worker"]):
        send_for(system, 2, BACKLOG // 2 - 1)
        watch.waits_for("firing", "NoWorkers")
        time.sleep(4 * STEP_S)  # for the picture to show it
    send_for(system, 25)


def send_for(system: System, seconds: float, most: int = 1_000_000) -> None:
    """Send batches of a thousand cases, of which three are wrong, one after the other."""
    till, number = time.monotonic() + seconds, 0
    while time.monotonic() < till and number < most:
        wrong = [{"case_Key": n, "case_ID": 5} for n in range(3)]
        system.send([*(a_case(number * 1000 + n) for n in range(1000)), *wrong])
        number += 1
        time.sleep(0.2)  # the pace of the sender


if __name__ == "__main__":
    main(Path(sys.argv[1]))
