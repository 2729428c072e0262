"""Waits for the checkpoint where nothing may begin without it.

A source that keeps events is read from the position in the checkpoint: without it a service would
begin elsewhere. So it waits, on a full disk for instance; the events wait meanwhile.
"""

import time
from itertools import count

from loguru import logger

from shards.checkpoint.database_file import CheckpointError, CheckpointLostError
from shards.checkpoint.store import CheckpointStore
from shards.progress import TrackProgress, untracked

_RETRY_SECONDS = 0.5


def wait_until_readable(store: CheckpointStore, track_progress: TrackProgress = untracked) -> None:
    """Return when the checkpoint can be read, or when it is damaged: waiting would not help then.

    Logs once if it has to wait.
    """
    trouble = ""
    for _ in track_progress(count()):
        try:
            store.load()
            store.load_shards()
        except CheckpointLostError:
            return
        except CheckpointError as error:
            if str(error) != trouble:
                trouble = str(error)
                logger.error(f"the crash checkpoint cannot be read yet, events wait: {trouble}")
            time.sleep(_RETRY_SECONDS)
        else:
            return
