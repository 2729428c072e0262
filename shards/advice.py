"""What is allowed but may not be meant: a warning each, for serve and for its --check."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from shards.environment import without_effect
from shards.settings import Settings


def warnings(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return what is worth a second look in settings that are right, a line of text each."""
    return [*_of_variables(environ), *_of_memory(settings), *_of_access(settings)]


def _of_variables(environ: Mapping[str, str]) -> Iterator[str]:
    if names := without_effect(environ):
        yield f"variables without effect: {names}"


def _of_memory(settings: Settings) -> Iterator[str]:
    if settings.max_queue == 0:
        yield (
            "--max-queue is 0: events that wait for a worker take memory without limit; "
            "with a limit, what is too much would be dropped and counted"
        )


def _of_access(settings: Settings) -> Iterator[str]:
    if settings.mode != "standalone" or settings.api_token or _is_loopback(settings.address):
        return
    yield (
        f"--address is {settings.address} and there is no --api-token (DSIEM_API_TOKEN): "
        "whoever reaches this machine can post events"
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
