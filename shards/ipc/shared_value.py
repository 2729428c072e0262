"""A pickled value in a memfd, which processes share.

A file of its own: neither pipes nor messages are involved.
"""

import mmap
import os
import pickle
import struct
from io import BytesIO
from itertools import accumulate, pairwise
from typing import Any, Self

from multiprocess.connection import Connection

_COUNT = struct.Struct("<q")


class _Pickler(pickle.Pickler):
    """Pickles memory views out of band."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, memoryview):
            return memoryview, (pickle.PickleBuffer(obj),)
        return NotImplemented


class SharedValue:
    """A value that one process writes, and others load; it can be an argument of a child.

    Memory views in it, such as those of PackedDirectives, are mapped: processes share their memory.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """`descriptor`: of the memfd of another one, to be owned by this one; None for a new one.

        OSError when the system has no memory or descriptors left.
        """
        memfd = os.memfd_create("value") if descriptor is None else descriptor
        self._handle = Connection(memfd, writable=False)  # which can be passed to a child

    @classmethod
    def of(cls, value: object) -> Self:
        """A new one with this value."""
        made = cls()
        made.write(value)
        return made

    @property
    def descriptor(self) -> int:
        """That of the memfd, to be sent to another process."""
        return int(self._handle.fileno())

    def write(self, value: object) -> None:
        """Write the value, once. OSError when the system has no memory left."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = BytesIO()
        _Pickler(pickled, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(value)
        parts = [pickled.getbuffer(), *(buffer.raw() for buffer in buffers)]
        head = [len(parts), *map(len, parts)]
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.write(b"".join(map(_COUNT.pack, head)))
            file.writelines(parts)

    def load(self) -> Any:
        """The value; each call makes it anew."""
        content = memoryview(mmap.mmap(self.descriptor, 0, prot=mmap.PROT_READ))
        (count,) = _COUNT.unpack_from(content)
        sizes = [_COUNT.unpack_from(content, _COUNT.size * n)[0] for n in range(1, count + 1)]
        ends = accumulate(sizes, initial=_COUNT.size * (count + 1))
        pickled, *buffers = [content[start:end] for start, end in pairwise(ends)]
        return pickle.loads(pickled, buffers=buffers)

    def close(self) -> None:
        """Close the memfd; what was loaded stays."""
        self._handle.close()
