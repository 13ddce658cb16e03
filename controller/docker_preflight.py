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


def require(calls: docker_calls.Calls, piece: docker_values.Piece) -> None:
    """Raise `ControllerError("DockerUnavailable")` when the piece is missing, forbidden, silent or too old."""
    old = too_old(piece, _engine(calls) if piece is docker_values.Piece.ENGINE else _plugin(calls, piece))
    if old:
        raise old


def too_old(piece: docker_values.Piece, text: str) -> errors.ControllerError | None:
    """The error of a version below `OLDEST`, naming both. One that is not known is taken as new enough."""
    found = version(text)
    if found is None or found >= OLDEST[piece]:
        return None
    told, wanted = (".".join(str(number) for number in numbers) for numbers in (found, OLDEST[piece]))
    name = docker_failures.NAMES[piece]
    return docker_failures.unavailable(f"the {name} is too old: found {told}, wanted {wanted} or newer")


def version(text: str) -> tuple[int, int] | None:
    """The version in what a piece prints, which may come with warnings; None without one, and for a build without a
    number (``0.0.0``, ``dev``). A line that is nothing but a version wins, then one that names its program."""
    lines = sorted(
        (line.strip() for line in text.splitlines()), key=lambda line: (" " in line, _NAMED.search(line) is None)
    )
    found = next((match for line in lines if (match := _VERSION.search(line))), None)
    numbers = (int(found[1]), int(found[2])) if found else (0, 0)
    return numbers if any(numbers) else None


def _engine(calls: docker_calls.Calls) -> str:
    """The version of the engine, which answers only when it can be reached."""
    answer = calls.ask("version", "--format", "{{json .}}")
    server = [one["Server"] for one in docker_calls.objects("version", answer) if isinstance(one.get("Server"), dict)]
    if not server:
        raise docker_failures.unavailable(f"no engine answers at {calls.address}: docker version shows only itself")
    return str(server[0].get("Version", ""))


def _plugin(calls: docker_calls.Calls, piece: docker_values.Piece) -> str:
    return calls.ask(*_QUESTIONS[piece], piece=piece).decode(errors="replace")
