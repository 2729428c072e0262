"""Directives that the running configuration has with the same text are taken over unparsed."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.directives import directive as directives_module
from shards.config.former_keys import former_routing_keys
from shards.config.generation import (
    ConfigChanges,
    ConfigParts,
    ConfigSummary,
    FormerDefinitions,
    LoadResult,
    RouterConfig,
    RunningConfig,
)
from shards.config.known_directives import KnownDirectives
from shards.config.packed_config import PackedConfig
from shards.ipc.shared_value import SharedValue
from shards.settings.settings import Settings
from tests.support.serving import ASSETS, counting_directive

Folder = dict[str, list[str]]
"""The texts of the directives by file."""
WORKERS = 2
CHANGES = 120
NAMES = ("directives_a.json", "directives_b.json", "directives_c.json")


class Loaded(NamedTuple):
    """A configuration, as it was loaded."""

    parts: ConfigParts
    summary: ConfigSummary
    problems: list[str]

    @property
    def running(self) -> RunningConfig:
        return RunningConfig(self.parts, SharedValue.of(FormerDefinitions()))

    @property
    def contents(self) -> tuple[Any, ...]:
        """All that processes get of it."""
        router: RouterConfig = self.parts.router.load()
        workers = [part.load() for part in self.parts.workers]
        return (
            router.routing_keys,
            router.assets,
            self.parts.known.load(),
            [list(worker.directives.items()) for worker in workers],
            [list(worker.directives.routing_keys()) for worker in workers],
            [
                bytes(worker.directives.document(id_))
                for worker in workers
                for id_ in worker.directives
            ],
            self.summary,
            self.problems,
        )


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the directives that are parsed."""
    texts: list[str] = []
    parse = directives_module._parse_one

    def parse_one(raw: Any, path: Any, lenient: bool) -> Any:
        texts.append(bytes(raw).decode())
        return parse(raw, path, lenient)

    monkeypatch.setattr(directives_module, "_parse_one", parse_one)
    return texts


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(config_dir=folder, workers=WORKERS, **more)


def text(id_: int, **changes: Any) -> str:
    return json.dumps(counting_directive(id_) | changes)


def write(folder: Path, files: Folder) -> None:
    (folder / "assets_a.json").write_text(json.dumps({"assets": ASSETS}))
    for name, texts in files.items():
        (folder / name).write_text(f'{{"directives": [{", ".join(texts)}]}}')


def load(settings: Settings, running: RunningConfig | None = None) -> Loaded | list[str]:
    """Load the folder; with faults, the problems."""
    config = PackedConfig(settings, KnownDirectives(running))
    config.reader.read_folder(settings.config_dir)
    problems = list(map(str, config.reader.problems.listed))
    if config.reader.faulty:
        return problems
    parts = ConfigParts.create(WORKERS)
    config.write(parts, running)
    summary = config.summary("")
    parts.result.write(LoadResult(summary))
    return Loaded(parts, summary, problems)


def load_valid(settings: Settings, running: RunningConfig | None = None) -> Loaded:
    loaded = load(settings, running)
    assert isinstance(loaded, Loaded), loaded
    return loaded


def unknown_field(text: str) -> str:
    return json.dumps(json.loads(text) | {"kingdm": ""})


def test_only_what_has_changed_is_parsed(tmp_path: Path, parsed: list[str]) -> None:
    write(tmp_path, {NAMES[0]: [text(id_) for id_ in range(1, 20)]})
    first = load_valid(settings_of(tmp_path))
    assert len(parsed) == 19
    parsed.clear()
    moved = [text(id_) for id_ in (7, 6, 30, 2)]
    moved[0] = text(7, name="another")
    write(tmp_path, {NAMES[0]: [text(id_) for id_ in (1, 3, 5)], NAMES[1]: moved})
    again = load_valid(settings_of(tmp_path), first.running)
    assert parsed == [moved[0], moved[2]]
    changes = ConfigChanges.between(first.summary, again.summary)
    assert (changes.added, changes.changed, changes.unchanged) == ([30], [7], 5)


def test_what_has_been_taken_over_is_known_to_the_next_one(
    tmp_path: Path, parsed: list[str]
) -> None:
    write(tmp_path, {NAMES[0]: [text(1), text(2)]})
    loaded = load_valid(settings_of(tmp_path))
    for _ in range(2):
        parsed.clear()
        again = load_valid(settings_of(tmp_path), loaded.running)
        assert parsed == []
        assert again.contents == loaded.contents
        loaded = again


@pytest.mark.parametrize(
    ("changed", "warnings"),
    [(unknown_field(text(1)), 1), (text(1, disabled=True), 1), (text(1, priority=9), 1)],
    ids=["warning", "disabled", "faulty"],
)
def test_what_has_a_finding_is_parsed_and_reported_again(
    changed: str, warnings: int, tmp_path: Path, parsed: list[str]
) -> None:
    write(tmp_path, {NAMES[0]: [changed, text(2)]})
    settings = settings_of(tmp_path, lenient_directives=True)
    first = load_valid(settings)
    parsed.clear()
    again = load_valid(settings, first.running)
    assert parsed == [changed]
    assert again.problems == first.problems
    assert len(again.problems) == warnings


def test_other_spacing_and_order_of_keys_are_parsed_and_are_no_change(
    tmp_path: Path, parsed: list[str]
) -> None:
    write(tmp_path, {NAMES[0]: [text(1)]})
    first = load_valid(settings_of(tmp_path))
    write(tmp_path, {NAMES[0]: [json.dumps(counting_directive(1), indent=2, sort_keys=True)]})
    parsed.clear()
    again = load_valid(settings_of(tmp_path), first.running)
    assert len(parsed) == 1
    assert not ConfigChanges.between(first.summary, again.summary).any


@pytest.mark.parametrize("lenient", [False, True])
def test_a_known_directive_with_an_id_that_occurs_again_is_found(
    lenient: bool, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, lenient_directives=lenient)
    write(tmp_path, {NAMES[0]: [text(1), text(2)], NAMES[1]: [text(3)]})
    first = load_valid(settings)
    write(tmp_path, {NAMES[1]: [text(3), text(1), text(2, name="another")]})
    by_itself, again = load(settings), load(settings, first.running)
    assert isinstance(again, Loaded) == lenient
    found = again.problems if isinstance(again, Loaded) else again
    assert len(found) == 2
    assert all("must be unique over all files" in each for each in found)
    assert _comparable(again) == _comparable(by_itself)


@pytest.mark.parametrize("seed", range(12))
def test_a_load_after_any_changes_is_as_one_from_nothing(
    seed: int, tmp_path: Path, parsed: list[str]
) -> None:
    rng = random.Random(seed)
    size = rng.choice([1, 2])
    settings = settings_of(
        tmp_path,
        lenient_directives=bool(seed % 2),
        cluster_size=size,
        cluster_index=str(rng.randrange(size)),
    )
    files: Folder = {name: [] for name in NAMES}
    for id_ in range(1, 31):
        files[rng.choice(NAMES)].append(text(id_))
    write(tmp_path, files)
    running = load_valid(settings)
    saved = 0
    for _ in range(CHANGES // 4):
        changed = {name: list(texts) for name, texts in files.items()}
        for _ in range(rng.randrange(4)):
            _change(rng, changed)
        write(tmp_path, changed)
        parsed.clear()
        by_itself = load(settings)
        of_all = len(parsed)
        parsed.clear()
        again = load(settings, running.running)
        saved += of_all - len(parsed)
        assert _comparable(again) == _comparable(by_itself)
        if isinstance(again, Loaded) and isinstance(by_itself, Loaded):
            routers: Iterable[RouterConfig] = (x.parts.router.load() for x in (again, running))
            new, old = routers
            assert new.former == former_routing_keys(old, FormerDefinitions(), new.routing_keys)
            files, running = changed, again
    assert saved > 0


def _comparable(loaded: Loaded | list[str]) -> Any:
    return loaded.contents if isinstance(loaded, Loaded) else loaded


def _change(rng: random.Random, files: Folder) -> None:
    """Change one directive, or where it is."""
    texts = rng.choice([texts for texts in files.values() if texts])
    place = rng.randrange(len(texts))
    document = json.loads(texts[place])
    disabled = not document.get("disabled", False)
    others = [
        document | {"name": f"name {rng.random()}"},
        document | {"disabled": disabled},
        document | {"kingdm": ""},
        document | {"priority": rng.choice([2, 3, 9])},
        dict(rng.sample(sorted(document.items()), len(document))),
    ]
    match rng.randrange(8):
        case 0:
            files[rng.choice(NAMES)].append(texts.pop(place))
        case 1:
            files[rng.choice(NAMES)].append(texts[place])
        case 2:
            rng.shuffle(texts)
        case 3:
            texts.append(text(rng.randrange(31, 60)))
        case _:
            texts[place] = json.dumps(rng.choice(others))
