"""Pickled set-up in a memfd that all children share.

A file of its own: neither pipes nor messages are involved.
"""

import mmap
import os
import pickle
import struct
from io import BytesIO
from itertools import accumulate, pairwise
from typing import Any

from multiprocess.connection import Connection

_COUNT = struct.Struct("<q")


class _Pickler(pickle.Pickler):
    """Pickles memory views out of band."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, memoryview):
            return memoryview, (pickle.PickleBuffer(obj),)
        return NotImplemented


class SharedSetup:
    """Pickled set-up in a memfd that all children share; pass it as an argument of a child.

    Memory views in it, such as those of PackedDirectives, are mapped: children share their memory.
    """

    def __init__(self, content: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        pickled = BytesIO()
        _Pickler(pickled, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(content)
        parts = [pickled.getbuffer(), *(buffer.raw() for buffer in buffers)]
        head = [len(parts), *map(len, parts)]
        descriptor = os.memfd_create("setup")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(b"".join(map(_COUNT.pack, head)))
            file.writelines(parts)
        # A Connection can be passed to a child.
        self._handle = Connection(descriptor, writable=False)

    def load(self) -> Any:
        """Unpickle the set-up in the child; call it once."""
        content = memoryview(mmap.mmap(self._handle.fileno(), 0, prot=mmap.PROT_READ))
        self._handle.close()
        (count,) = _COUNT.unpack_from(content)
        sizes = [_COUNT.unpack_from(content, _COUNT.size * n)[0] for n in range(1, count + 1)]
        ends = accumulate(sizes, initial=_COUNT.size * (count + 1))
        pickled, *buffers = [content[start:end] for start, end in pairwise(ends)]
        return pickle.loads(pickled, buffers=buffers)
