"""The valid configuration of a folder, as replays and the tests of directives use it whole."""

from typing import TYPE_CHECKING

from msgspec import Struct

from engine.asset import Asset
from engine.directives.directive import Directive
from engine.options import Options
from shards.config.config_reader import ConfigReader, collect_in
from shards.config.problem import ProblemList
from shards.settings.settings import Settings

if TYPE_CHECKING:
    from shards.lookups.source_config import LookupSource


class Config(Struct, frozen=True):
    """The valid configuration of a folder.

    `rejected`: directives left out for their faults. `hash`: SHA-256 of all its files, in hex.
    `trouble`: why it is not the newest one, or "". `disabled`: ids of disabled directives.
    """

    directives: tuple[Directive, ...]
    assets: tuple[Asset, ...]
    sources: "tuple[LookupSource, ...]" = ()
    rejected: int = 0
    hash: str = ""
    trouble: str = ""
    disabled: tuple[int, ...] = ()


def load_config(settings: Settings) -> tuple[Config | None, ProblemList]:
    """The configuration of the settings' folder, and its problems; None if any is a fault.

    PathError if it cannot be read.
    """
    directives: list[Directive] = []
    reader = ConfigReader(settings, collect_in(directives))
    reader.read_folder(settings.config_dir)
    if reader.faulty:
        return None, reader.problems
    config = Config(
        tuple(directives),
        tuple(reader.assets),
        tuple(reader.sources),
        reader.rejected,
        reader.hash,
        disabled=tuple(reader.disabled),
    )
    return config, reader.problems


def engine_options(settings: Settings) -> Options:
    """The engine's options from the settings."""
    return Options(
        node=settings.node,
        min_alarm_lifetime=settings.min_alarm_lifetime * 60,
        match_protocol=settings.match_protocol,
        out_of_order_tolerance=settings.out_of_order_tolerance,
        repeat_window=settings.repeat_window,
        med_risk_min=settings.med_risk_min,
        med_risk_max=settings.med_risk_max,
        status=settings.status[0],
        tag=settings.tags[0],
    )
