"""`make chaos`: python -m tests.chaos [--seconds N] [--seed N …] [--only FAULT …]"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import WEIGHTS
from tests.chaos.harness import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seconds", type=float, default=60, help="how long each seed strikes")
parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run each")
parser.add_argument("--keep", action="store_true", help="keep the data directory of a run that found something")
kinds = {fault.__name__: fault for fault in WEIGHTS}
parser.add_argument("--only", nargs="+", choices=kinds, default=list(kinds), metavar="FAULT", help="these faults alone")
options = parser.parse_args()

found = False
for seed in options.seed:
    place = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    report = run(place, seed, options.seconds, [kinds[name] for name in options.only])
    print("\n".join(report.lines()), flush=True)
    found = found or not report.clean
    if report.clean or not options.keep:
        shutil.rmtree(place, ignore_errors=True)
    else:
        print(f"kept: {place}")
sys.exit(found)
