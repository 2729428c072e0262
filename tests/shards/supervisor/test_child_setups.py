"""The set-ups of the children."""

import msgspec
import pytest

from engine.directives.directive import Directive
from engine.directives.index import DirectiveRoutingKeys
from shards.config.config_folder import Config
from shards.settings.settings import Settings
from shards.supervisor.child_setups import directives_by_worker, router_setup, worker_setups

CONFIG = Config(
    tuple(Directive(n, "n", "k", "c", 1, False, ()) for n in range(1, 101)), assets=(), sources=()
)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_directive_has_one_worker(workers: int) -> None:
    by_worker = directives_by_worker(Settings(workers=workers), CONFIG)
    assert len(by_worker) == workers
    assert sorted(d.id for part in by_worker for d in part) == list(range(1, 101))
    assert all(by_worker)


def test_every_directive_has_one_service_of_its_node() -> None:
    parts = [Settings(workers=2, cluster_size=3, cluster_index=str(index)) for index in range(3)]
    ids = [d.id for part in parts for each in directives_by_worker(part, CONFIG) for d in each]
    assert sorted(ids) == list(range(1, 101))


@pytest.mark.parametrize(("interval", "tracked"), [(0, False), (5, True)])
def test_changes_are_tracked_for_checkpoints_only(interval: int, tracked: bool) -> None:
    settings = Settings(workers=1, checkpoint_interval=interval, expiry_grace=7)
    (setup,) = worker_setups(settings, CONFIG, [list(CONFIG.directives)])
    assert setup.options.track_changes is tracked
    assert (setup.options.expiry_grace, setup.options.lookups) == (7, False)
    assert tuple(setup.directives.values()) == CONFIG.directives


def test_the_router_knows_the_directives_of_all_services() -> None:
    setup = router_setup(Settings(cluster_size=2, cluster_index="1"), CONFIG)
    keys = msgspec.msgpack.decode(setup.routing_keys, type=list[DirectiveRoutingKeys])
    assert [key.id for key in keys] == list(range(1, 101))
