"""Which of the two forms on disk counts, directive by directive, with real files of both."""

import os
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from engine.dsiem_format.saved_alarm import save_backlogs
from engine.event import decode_event
from engine.options import Options
from shards.checkpoint.database_file import prepare_database
from shards.checkpoint.recovery import recover_backlogs
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.store import BacklogRow, CheckpointStore
from tests.support.cluster import OPENS, pair_directive, pair_event, raws
from tests.support.serving import ASSETS

BEFORE, SAVED, AFTER = (1_700_000_000_000_000_000 + seconds * 10**9 for seconds in (0, 10, 20))
IN_ROWS, IN_FILE = 5, 2
"""How many backlogs of a directive there are in which form, to tell them apart."""


def directive(id_: int) -> Directive:
    document = msgspec.json.encode({"directives": [pair_directive(id_)]})
    [checked] = parse_directives(document)
    assert checked.directive is not None
    return checked.directive


DIRECTIVES = {id_: directive(id_) for id_ in (1, 2)}


def correlator(number: int) -> Correlator:
    """With so many open backlogs of each directive."""
    assets = NetworkAssets(parse_assets(msgspec.json.encode({"assets": ASSETS}))[0])
    made = Correlator(DIRECTIVES.values(), assets, Options())
    for id_ in DIRECTIVES:
        for raw in raws(pair_event("e", id_, OPENS, n) for n in range(number)):
            made.process_event(decode_event(raw), 0)
    return made


class Disk:
    """Both forms, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "checkpoint.sqlite"
        prepare_database(self.path)

    def save(self, id_: int, at: int, handed_over: Collection[int] = ()) -> None:
        """What the worker of a directive writes into the checkpoint."""
        states = [state for state in correlator(IN_ROWS).snapshots() if state.directive == id_]
        rows = [BacklogRow(*s.key, s.order, msgspec.json.encode(s)) for s in states]
        checkpoint = CheckpointStore(self.path)
        checkpoint.save(rows, [], at, handed_over=handed_over)
        checkpoint.close()

    def leave(self, id_: int, at: int) -> None:
        """A saved file, written at this time."""
        SavedFolder(self.folder).write({id_: save_backlogs(correlator(IN_FILE))[id_]})
        os.utime(self.folder / f"{id_}.json", ns=(at, at))

    def found(self, id_: int, *, files: bool = True) -> int:
        """How many backlogs a worker with this directive alone goes on with."""
        checkpoint = CheckpointStore(self.path)
        folder = SavedFolder(self.folder) if files else None
        states = recover_backlogs(checkpoint, folder, {id_: DIRECTIVES[id_]}, Options()).states
        checkpoint.close()
        assert {state.directive for state in states} <= {id_}
        return len(states)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_there_is_nothing(disk: Disk) -> None:
    assert disk.found(1) == 0


@pytest.mark.parametrize(("left", "counts"), [(BEFORE, IN_ROWS), (AFTER, IN_FILE)])
def test_the_newer_one_counts(disk: Disk, left: int, counts: int) -> None:
    disk.save(1, SAVED)
    disk.leave(1, left)
    assert disk.found(1) == counts
    assert disk.found(1, files=False) == IN_ROWS


def test_a_file_alone_counts_however_old_it_is(disk: Disk) -> None:
    disk.save(2, AFTER)
    disk.leave(1, BEFORE)
    assert disk.found(1) == IN_FILE


def test_a_worker_that_has_saved_already_makes_no_file_of_another_older(disk: Disk) -> None:
    """They all start at once, and each writes a checkpoint as soon as it has taken up its own."""
    disk.save(1, SAVED, handed_over=[1, 2])
    disk.leave(1, AFTER)
    disk.save(2, AFTER + 1)
    assert disk.found(1) == IN_FILE


def test_at_a_stop_what_has_not_changed_since_is_as_new_as_its_file(disk: Disk) -> None:
    disk.save(1, BEFORE)
    disk.leave(1, SAVED)
    disk.save(2, SAVED + 1, handed_over=[1])
    assert disk.found(1) == IN_ROWS


def test_what_was_handed_over_and_taken_is_no_longer_ours(disk: Disk) -> None:
    disk.save(1, SAVED, handed_over=[1])
    assert disk.found(1) == 0
    assert disk.found(1, files=False) == IN_ROWS
