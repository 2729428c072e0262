"""Reports of routers and workers, as tests make them."""

from collections import Counter
from collections.abc import Mapping

from shards.ipc.messages import RouterReport, WorkerDetails, WorkerReport
from shards.ledger import Deliveries, Events, Feed, Ledger


def router_report(
    events: Events | None = None,
    queues: Mapping[int, tuple[int, int, int]] | None = None,
    written: Mapping[int, int] | None = None,
    feed: Feed | None = None,
    *,
    connected: bool = False,
) -> RouterReport:
    """A router's report. `queues`: sent, dropped and queued events by worker; `written` by pipe."""
    queues = queues or {}
    deliveries = Deliveries(sent=sum(sent for sent, _, _ in queues.values()))
    if dropped := sum(dropped for _, dropped, _ in queues.values()):
        deliveries.dropped["queue_full"] = dropped
    ledger = Ledger(events=events or Events(), feed=feed or Feed(), deliveries=deliveries)
    queued = {worker: queued for worker, (_, _, queued) in queues.items()}
    return RouterReport(ledger, queued, dict(written or {}), connected)


def worker_report(
    processed: Mapping[int, int] | None = None,
    ended_pipes: tuple[int, ...] = (),
    *,
    opened: int = 0,
    still_open: int = 0,
    in_checkpoint: int = 0,
    alarm_events: bytes = b"",
    alarms: bytes = b"",
    late: int = 0,
    busy_seconds: float = 0.0,
    details: WorkerDetails | None = None,
) -> WorkerReport:
    """The report of a worker that consumed all that it processed; `processed` by pipe."""
    consumed = sum((processed or {}).values())
    ledger = Ledger(
        deliveries=Deliveries(consumed=consumed),
        outcomes=Counter(taken=consumed - opened, opened=opened),
        backlogs=Counter(opened=opened, finished=opened - still_open, open=still_open),
        late=late,
    )
    return WorkerReport(
        alarm_events=alarm_events,
        alarms=alarms,
        processed=dict(processed or {}),
        ended_pipes=list(ended_pipes),
        ledger=ledger,
        in_checkpoint=in_checkpoint,
        busy_seconds=busy_seconds,
        details=details,
    )
