"""The parts of a correlator that the backlogs of all its directives share.

A file of its own, since the correlator makes them, and the backlogs of each directive use them.
"""

from typing import NamedTuple

from engine.correlation.activity import Activity
from engine.correlation.backlog import Backlog
from engine.correlation.expiry import ExpiryQueue
from engine.correlation.former_definitions import FormerDefinitions
from engine.correlation.memory import Memory
from engine.correlation.pending_lines import PendingLines
from engine.correlation.publisher import Publisher


class SharedParts(NamedTuple):
    """What the backlogs of all directives of a shard share."""

    expiry: ExpiryQueue
    pending: PendingLines[Backlog]
    activity: Activity
    memory: Memory
    publisher: Publisher
    former: FormerDefinitions
