"""Pickled set-up in a memfd that all children share."""

import os
import pickle
from pathlib import Path
from typing import Any

from multiprocess.connection import Connection


class SharedSetup:
    """Something large for children, packed once, in memory that they can all read.

    As an argument it would go through a pipe, and who writes into the pipe of a child that has
    died before it read it, while it holds the other end itself, waits for ever.
    """

    def __init__(self, content: object) -> None:
        descriptor = os.memfd_create("setup")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)
        self._handle = Connection(descriptor, writable=False)  # which knows how to be handed over

    def unpack(self) -> Any:
        """The content, in the child; the parcel is then gone there."""
        # Opened anew, since those who share a descriptor share the position in it too.
        with Path(f"/proc/self/fd/{self._handle.fileno()}").open("rb") as file:
            content = pickle.load(file)
        self._handle.close()
        return content
