"""Whether the pieces that a command needs are there and new enough (faults.md H5; consumers.md DK5).

Asked before anything depends on them, so that a missing plugin is not reported as an unknown flag. Installs nothing.
"""

import re
import shutil
from collections.abc import Mapping

from controller import docker_calls, docker_child, docker_failures, docker_values, errors

OLDEST: Mapping[docker_values.Piece, tuple[int, int]] = {
    docker_values.Piece.ENGINE: (20, 10),
    docker_values.Piece.BUILDX: (0, 10),  # --provenance; named contexts came in 0.8
    docker_values.Piece.COMPOSE: (2, 0),
}
"""The oldest versions that understand what is asked of them."""

OLDEST_TO_BUILD = (24, 0)
"""Of an engine that builds: the first with a BuildKit (0.11) that dates images by SOURCE_DATE_EPOCH."""

_QUESTIONS: Mapping[docker_values.Piece, tuple[str, ...]] = {
    docker_values.Piece.BUILDX: ("buildx", "version"),
    docker_values.Piece.COMPOSE: ("compose", "version", "--short"),
}
_VERSION = re.compile(r"(?<![\w.])v?(\d{1,4})\.(\d{1,4})(?:\.\d+)?")
_NAMED = re.compile(r"docker|compose|buildx", re.IGNORECASE)


def require_programs() -> None:
    """Raise `ControllerError("DockerUnavailable")` when a program of a call is not on PATH."""
    for program in ("docker", *docker_child.PROGRAMS):
        if shutil.which(program) is None:
            raise docker_failures.unavailable(f"the {program} command is missing: it is not on PATH")


def require_plugin(calls: docker_calls.Calls, piece: docker_values.Piece) -> None:
    """Raise `ControllerError("DockerUnavailable")` when the plugin is missing, silent or too old."""
    old = too_old(piece, calls.ask(*_QUESTIONS[piece], piece=piece).decode(errors="replace"))
    if old:
        raise old


def require_engine(calls: docker_calls.Calls, *, builds: bool) -> str:
    """The engine's own platform, such as ``linux/amd64``; "" when it does not say. One call. Raise
    `ControllerError("DockerUnavailable")` when it is missing, forbidden, silent, or too old (for builds)."""
    answer = calls.ask("version", "--format", "{{json .}}")
    server = [one["Server"] for one in docker_calls.objects("version", answer) if isinstance(one.get("Server"), dict)]
    if not server:
        raise docker_failures.unavailable(f"no engine answers at {calls.address}: docker version shows only itself")
    old = too_old(docker_values.Piece.ENGINE, str(server[0].get("Version", "")), builds=builds)
    if old:
        raise old
    parts = [part for part in (server[0].get("Os"), server[0].get("Arch")) if isinstance(part, str) and part]
    return "/".join(parts) if len(parts) == 2 else ""


def too_old(piece: docker_values.Piece, text: str, *, builds: bool = False) -> errors.ControllerError | None:
    """The error of a version below the oldest (of an engine that `builds`: `OLDEST_TO_BUILD`), naming both. One that is
    not known is taken as new enough."""
    found, oldest = version(text), OLDEST_TO_BUILD if builds else OLDEST[piece]
    if found is None or found >= oldest:
        return None
    told, wanted = (".".join(str(number) for number in numbers) for numbers in (found, oldest))
    old = f"too old{' to build images' if builds else ''}"
    return docker_failures.unavailable(
        f"the {docker_failures.NAMES[piece]} is {old}: found {told}, wanted {wanted} or newer"
    )


def version(text: str) -> tuple[int, int] | None:
    """The version in what a piece prints, which may come with warnings; None without one, and for a build without a
    number (``0.0.0``, ``dev``). A line that is nothing but a version wins, then one that names its program."""
    lines = sorted(
        (line.strip() for line in text.splitlines()), key=lambda line: (" " in line, _NAMED.search(line) is None)
    )
    found = next((match for line in lines if (match := _VERSION.search(line))), None)
    numbers = (int(found[1]), int(found[2])) if found else (0, 0)
    return numbers if any(numbers) else None
