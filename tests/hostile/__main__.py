"""`make hostile`: python -m tests.hostile [--seconds N] [--only NAME …] [--json FILE]"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from tests.hostile.bench import LONG, SHORT, Bench
from tests.hostile.catalogue import ATTACKS
from tests.hostile.table import HEADINGS, lines, part, row

_MOST_MS = 100
_LEAST_POLLS = 300
"""Of which one in a hundred is a few."""

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seconds", type=float, default=60, help="how long all attacks are made together")
parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="NAME", help="these attacks")
parser.add_argument("--short", action="store_true", help="as small as in make check")
parser.add_argument("--without", choices=("alone", "together"), help="leave out a half")
parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
options = parser.parse_args()

place = Path(tempfile.mkdtemp(prefix="hostile-"))
print("\n".join(HEADINGS), flush=True)
try:
    bench = Bench(place, replace(SHORT, niceness=LONG.niceness) if options.short else LONG)
    report = bench.run(options.only, options.seconds, options.without, lambda cost: print(row(cost), flush=True))
finally:
    shutil.rmtree(place, ignore_errors=True)
print("\n".join(lines(report)))
if options.json:
    options.json.write_text(json.dumps(asdict(report), default=str, indent=1) + "\n")
together = report.together
is_slow = together is not None and part(together.meanwhile.polls_ms, 0.99) > _MOST_MS
if is_slow:
    print(f"The p99 of another client's polls was above {_MOST_MS} ms; repeat it on an idle machine, or use --only.")
if together is not None and len(together.meanwhile.polls_ms) < _LEAST_POLLS:
    print(f"That is said of fewer than {_LEAST_POLLS} polls; give it more time (SECONDS) on a quiet machine.")
sys.exit(bool(report.faults or is_slow or (together and not together.meanwhile.faultless)))
