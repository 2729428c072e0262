"""Pickled set-up in a memfd that all children share.

A file of its own: neither pipes nor messages are involved.
"""

import os
import pickle
from pathlib import Path
from typing import Any

from multiprocess.connection import Connection


class SharedSetup:
    """Pickled set-up in a memfd that all children share; pass it as an argument of a child.

    Large plain arguments go through a pipe instead. The parent holds both of its ends, so that its
    write blocks forever if the child dies before reading.
    """

    def __init__(self, content: object) -> None:
        descriptor = os.memfd_create("setup")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)
        # A Connection can be passed to a child.
        self._handle = Connection(descriptor, writable=False)

    def load(self) -> Any:
        """Unpickle the set-up in the child, and release the memory there; call it once."""
        # A new open file description: children that share one share its position.
        with Path(f"/proc/self/fd/{self._handle.fileno()}").open("rb") as file:
            content = pickle.load(file)
        self._handle.close()
        return content
