"""What all measurements of a comparison have in common."""

from msgspec import Struct


class Record(Struct, frozen=True):
    """A run of a backend, in compare.json; `value` is for example the number of directives.

    `note`: what was unusual; may be empty. `other_cores`: cores that the rest of the machine used.
    """

    dimension: str
    value: int
    backend: str
    repeat: int = 1
    note: str = ""
    other_cores: float = 0.0


def joined(*texts: str) -> str:
    """The texts that are not empty."""
    return "; ".join(text for text in texts if text)
