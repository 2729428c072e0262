"""How fast the engine is, each figure against its target: `python benchmarks/bench_engine.py`.

Only parses the command line and runs the sections; each section is a module beside this one.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import end_to_end, memory, per_event, report, scale
from benchmarks.measure import Figure

SECTIONS: Mapping[str, Callable[[bool], list[Figure]]] = {
    "event": per_event.run,
    "scale": scale.run,
    "memory": memory.run,
    "replay": end_to_end.run,
}
_RESULTS = Path(__file__).parent / "results" / "bench_engine.json"


def main() -> int:
    """Run the sections asked for; 0 when every target is met, else 1."""
    arguments = _parser().parse_args()
    figures: list[Figure] = []
    for name in arguments.only or SECTIONS:
        figures += SECTIONS[name](arguments.quick)
    report.show(figures)
    report.save(figures, arguments.json)
    return int(any(figure.met is False for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=_RESULTS, help="file for the figures")
    parser.add_argument("--quick", action="store_true", help="fewer events and repeats")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", metavar="NAME", help="one section of them"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
