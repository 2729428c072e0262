"""A folder for temporary files, where the system has none.

The spawning library asks for one when it is imported, and finds none where the root is read-only.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def ensure(folder: Path) -> None:
    """See to it that there is one, this folder if need be; for child processes too."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        with suppress(OSError):  # whoever needs it will say what is wrong with it
            folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder.absolute())
