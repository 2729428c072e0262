"""Reports of routers and workers, as tests make them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from shards.ipc.messages import RouterReport, WorkerDetails, WorkerReport
from shards.ledger import WORKER_DIED, Deliveries, Events, Feed, Ledger, encode_ledger
from shards.positions import base_of


def router_report(
    events: Events | None = None,
    queues: Mapping[int, tuple[int, int, int]] | None = None,
    lost: Mapping[int, int] | None = None,
    feed: Feed | None = None,
    *,
    connected: bool = False,
    without_pipe: Sequence[int] = (),
) -> RouterReport:
    """A router's report. `queues`: sent, dropped and queued events by worker; `lost` by worker."""
    queues, lost = queues or {}, dict(lost or {})
    deliveries = Deliveries(sent=sum(sent for sent, _, _ in queues.values()))
    if dropped := sum(dropped for _, dropped, _ in queues.values()):
        deliveries.dropped["queue_full"] = dropped
    if lost:
        deliveries.lost[WORKER_DIED] = sum(lost.values())
    return RouterReport(
        ledger=Ledger(events=events or Events(), feed=feed or Feed(), deliveries=deliveries),
        accepted={worker: sent - dropped for worker, (sent, dropped, _) in queues.items()},
        lost=lost,
        queued={worker: queued for worker, (_, _, queued) in queues.items()},
        connected=connected,
        without_pipe=list(without_pipe),
    )


def worker_report(
    consumed: int = 0,
    *,
    position: int | None = None,
    life: int = 1,
    sync: int = 0,
    saved: int = 0,
    saved_sync: int = 0,
    opened: int = 0,
    still_open: int = 0,
    alarm_events: bytes = b"",
    alarms: bytes = b"",
    late: int = 0,
    busy_seconds: float = 0.0,
    details: WorkerDetails | None = None,
) -> WorkerReport:
    """The report of a worker that consumed all that it processed.

    `position`: after that number of deliveries of the life, unless given.
    """
    ledger = Ledger(
        deliveries=Deliveries(consumed=consumed),
        outcomes=Counter(taken=consumed - opened, opened=opened),
        backlogs=Counter(opened=opened, finished=opened - still_open, open=still_open),
        late=late,
    )
    return WorkerReport(
        alarm_events=alarm_events,
        alarms=alarms,
        encoded_ledger=encode_ledger(ledger),
        late=late,
        position=base_of(life) + consumed if position is None else position,
        life=life,
        sync=sync,
        saved=saved,
        saved_sync=saved_sync,
        saved_generation=int(saved > 0),
        busy_seconds=busy_seconds,
        details=details,
    )
