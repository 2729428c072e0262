"""Print the coverage of each folder, from combined data; `make coverage` runs it."""

from collections import Counter
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    coverage = Coverage()
    coverage.load()
    statements: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for file in coverage.get_data().measured_files():
        _, all_lines, _, missing_lines, _ = coverage.analysis2(file)
        path = Path(file).relative_to(ROOT)
        folder = str(path if path.parent == Path() else path.parent)
        statements[folder] += len(all_lines)
        missing[folder] += len(missing_lines)
    print(f"{'folder':28}{'lines':>7}{'missed':>8}{'covered':>9}")
    for folder in sorted(statements):
        print(_row(folder, statements[folder], missing[folder]))
    print(_row("all", statements.total(), missing.total()))


def _row(name: str, statements: int, missing: int) -> str:
    covered = 100 * (statements - missing) / max(statements, 1)
    return f"{name:28}{statements:7}{missing:8}{covered:8.1f}%"


if __name__ == "__main__":
    main()
