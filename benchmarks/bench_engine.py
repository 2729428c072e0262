"""The speed of the engine, each figure against its target: `python benchmarks/bench_engine.py`.

Parses the command line and runs the sections; each section is a module of benchmarks/engine/.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.engine import end_to_end, memory, per_event, scale
from benchmarks.support import report
from benchmarks.support.measure import Figure

SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {
    "event": per_event.run,
    "scale": scale.run,
    "memory": memory.run,
    "replay": end_to_end.run,
}


if __name__ == "__main__":
    sys.exit(report.run(__doc__, "dsiem-shards engine", "bench_engine", SECTIONS))
