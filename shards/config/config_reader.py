"""Reads configuration files, and reports every fault with its position."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from engine.asset import Asset
from engine.directives.asset_document import parse_asset_items
from engine.directives.directive import NO_KNOWN, Directive, ParsedDirective, parse_directives
from engine.directives.json_position import JsonLocator
from engine.errors import DocumentPath, Finding
from shards.config.config_files import LIST_KEYS, FilesByKind, config_files, kind_of, read_file
from shards.config.config_lints import ConfigLints
from shards.config.problem import Problem, ProblemList
from shards.config.unread_files import find_unread_files
from shards.errors import PathError
from shards.progress import TrackProgress, untracked
from shards.settings.settings import Settings

if TYPE_CHECKING:
    from shards.lookups.source_config import LookupSource

_LOOKUP_KINDS = ("intel", "vuln")
"""The kinds that only decorate alarms: their faults stop nothing, except with strict_lookups."""


def collect_in(directives: list[Directive]) -> Callable[[ParsedDirective], None]:
    """An `on_directive` that appends the directives, none of which is known, to a list."""

    def collect(parsed: ParsedDirective) -> None:
        assert parsed.directive is not None
        directives.append(parsed.directive)

    return collect


class ConfigReader:
    """Reads configuration files one after the other, and collects their contents and problems.

    It keeps no directives, so that files of any size need little memory.
    """

    def __init__(
        self,
        settings: Settings,
        on_directive: Callable[[ParsedDirective], object] = lambda _: None,
        *,
        known: Mapping[bytes, int] = NO_KNOWN,
        problems: ProblemList | None = None,
        lints: bool = False,
        track_progress: TrackProgress = untracked,
    ) -> None:
        """`on_directive` gets each valid directive. `problems`: a list that several readers share.

        `known`: see `parse_directives`; not with `lints`, which are looked for in what is parsed.
        `track_progress` gets the items of directives files.
        """
        self._lenient = settings.lenient_directives
        self._strict_lookups = settings.strict_lookups
        self._on_directive = on_directive
        self._known = known
        self._track_progress = track_progress
        self.assets: list[Asset] = []
        self.sources: list[LookupSource] = []
        self.disabled: list[int] = []
        self.rejected = 0
        self._digest = sha256()
        self.problems = ProblemList() if problems is None else problems
        self.files: list[Path] = []
        """The files that were read."""
        self.entries: dict[Path, tuple[str, int]] = {}
        """The kind of each of these, and the number of its valid entries."""
        self._lints = ConfigLints(portable=settings.portable) if lints else None
        self._faulty_files: set[Path] = set()
        self.counts: Counter[str] = Counter()
        """Number of files, and of valid entries by kind."""
        self._first_position: dict[int, tuple[Path, DocumentPath]] = {}
        """The file and the path of the first item with a directive id."""
        self._locators: dict[Path, JsonLocator] = {}
        """Locators of the files whose ids occur again."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the files read so far, with their names and order."""
        return self._digest.hexdigest()

    @property
    def faulty(self) -> bool:
        """Whether any problem is more than a warning."""
        return bool(self._faulty_files)

    def read_folder(self, folder: Path) -> None:
        """Read all configuration files of a folder, which must hold assets and directives.

        Files that only look like configuration get a warning. PathError if files cannot be read,
        or there are none.
        """
        self.warn_of_unread_files(folder)
        self.read_files(config_files(folder), folder)

    def warn_of_unread_files(self, folder: Path) -> None:
        """Add a warning for each file that only looks like configuration; PathError."""
        files = chain(*config_files(folder).values())
        for path, finding in find_unread_files(folder, files, LIST_KEYS):
            self._add_problem(path, finding)

    def read_files(self, files: FilesByKind, folder: Path) -> None:
        """As `read_folder`, with these files by kind for those of the folder."""
        if not any(files.values()):
            names = ", ".join(f"{kind}_*.json" for kind in LIST_KEYS)
            raise PathError(f"{folder} holds no config, must hold {names}")
        unreadable = list(self._read_all("assets", files["assets"]))
        faultless = not unreadable and self._faulty_files.isdisjoint(files["assets"])
        if self._lints and self.assets and faultless:
            self._lints.know_all_assets()
        for kind in [kind for kind in files if kind != "assets"]:
            unreadable += self._read_all(kind, files[kind])
        if unreadable:
            raise PathError("\n".join(unreadable))
        for kind in ("assets", "directives"):
            if self.counts[kind] == 0 and self._faulty_files.isdisjoint(files[kind]):
                self._report_none(kind, files[kind][0] if files[kind] else folder)
        self.lint_assets()

    def lint_assets(self) -> None:
        """Report the lints between the assets read so far."""
        for path, findings in self._lints.between_assets() if self._lints else ():
            self._add_problems(path, read_file(path), findings)

    def _read_all(self, kind: str, paths: Iterable[Path]) -> Iterator[str]:
        """Read files of a kind; yields the reason for each one that cannot be read."""
        for path in paths:
            try:
                self.read_file(path, kind)
            except PathError as error:
                if kind not in _LOOKUP_KINDS or self._strict_lookups:
                    yield str(error)
                    continue
                reason = str(error).removeprefix(f"{path} ")
                finding = Finding("unreadable", reason).as_warning("the file is left out")
                self._add_problem(path, finding)

    def read_file(self, path: Path, kind: str | None = None) -> None:
        """Read one file; its kind follows from its name, or else from its content."""
        data = read_file(path)
        self._digest.update(os.fsencode(path.name) + f"\0{len(data)}\0".encode() + data)
        self.counts["files"] += 1
        self.files.append(path)
        kind = kind or kind_of(path, data)
        before = self.counts[kind or ""]
        self._read_data(path, data, kind)
        if kind:
            self.entries[path] = kind, self.counts[kind] - before

    def _read_data(self, path: Path, data: bytes, kind: str | None) -> None:
        """Read the content of a file of a kind."""
        if kind is None:
            keys = ", ".join(LIST_KEYS.values())
            self._add_problems(
                path, data, [Finding("unknown-file", f"is no config, must have {keys}")]
            )
        elif kind == "directives":
            self._add_problems(path, data, self._directives(path, data))
        elif kind == "assets":
            assets, findings = parse_asset_items(data)
            self.assets += assets.values()
            self.counts[kind] += len(assets)
            if self._lints:
                self._lints.add_assets(path, assets)
            self._add_problems(path, data, findings)
        else:
            from shards.lookups.source_config import read_sources  # noqa: PLC0415 - its libraries are large

            document = read_sources(data, LIST_KEYS[kind], strict=self._strict_lookups)
            self.sources += document.sources
            self.counts[kind] += document.count
            self._add_problems(path, data, document.findings)

    def _directives(self, path: Path, data: bytes) -> Iterator[Finding]:
        parsed = parse_directives(data, lenient=self._lenient, known=self._known)
        for checked in self._track_progress(parsed):
            yield from checked.findings
            if checked.disabled:
                self.disabled += {found.directive for found in checked.findings if found.directive}
            first = self._first_position.get(checked.id) if checked.id is not None else None
            if first is not None:
                self.rejected += 1
                yield self._duplicate_finding(checked, *first)
                continue
            self.rejected += bool(checked.path) and not (checked.valid or checked.disabled)
            if checked.id is not None and (checked.valid or not self._lenient):
                self._first_position[checked.id] = path, checked.path
            if checked.valid:
                self.counts["directives"] += 1
                self._on_directive(checked)
                yield from self._lints.of_directive(checked) if self._lints else ()

    def _duplicate_finding(
        self, checked: ParsedDirective, file: Path, place: DocumentPath
    ) -> Finding:
        if file not in self._locators:
            self._locators[file] = JsonLocator(read_file(file))
        line, _ = self._locators[file].locate((*place, "id"))
        message = f"is {checked.id} as in {file}:{line}, must be unique over all files"
        found = Finding(
            "duplicate-id", message, (*checked.path, "id"), directive=checked.id, field="id"
        )
        return found.as_warning("the directive is left out") if self._lenient else found

    def _add_problems(self, path: Path, data: bytes, findings: Iterable[Finding]) -> None:
        """Add the findings of a file as problems, in the order of its lines."""
        locator = JsonLocator(data)
        problems = []
        for finding in findings:
            if not finding.warning:
                self._faulty_files.add(path)
            if self.problems.count(finding):
                line, column = locator.locate(finding.path, finding.offset)
                problems.append(Problem(str(path), line, column, finding))
        for problem in sorted(problems, key=lambda problem: (problem.line, problem.column)):
            self.problems.add(problem)

    def _report_none(self, kind: str, place: Path) -> None:
        message = f"there are no {kind} in the folder, must be at least one"
        self._faulty_files.add(place)
        self._add_problem(place, Finding(f"no-{kind}", message, field=kind))

    def _add_problem(self, place: Path, finding: Finding) -> None:
        """Add the finding of a whole file or folder as a problem."""
        if self.problems.count(finding):
            self.problems.add(Problem(str(place), 1, 1, finding))
