"""What docker's words mean when it did not do what it was asked: which piece is missing, and what a person can do.

Owns the reading of complaints (faults.md H5, K1; consumers.md DK3, DK5). Lines come cleaned and redacted by
`controller.docker_output`. Looks at the owner of the engine's socket, and at nothing else; runs nothing.
"""

import grp
import os
import re
from collections.abc import Sequence

from controller import docker_values, errors

NAMES = {
    docker_values.Piece.ENGINE: "engine",
    docker_values.Piece.BUILDX: "buildx plugin",
    docker_values.Piece.COMPOSE: "compose plugin",
}
_PACKAGES = {
    docker_values.Piece.BUILDX: "docker-buildx-plugin or docker-buildx",
    docker_values.Piece.COMPOSE: "docker-compose-plugin or docker-compose-v2",
}
_LONGEST = 300
_LAST_WORDS = 5
_LAST_WORDS_OF_SSH = 40
"""ssh may say much: a banner of its host, a whole page when the host's key has changed."""

_DENIED = re.compile(r"permission denied while trying to connect to the docker", re.IGNORECASE)
_SILENT = re.compile(
    r"(?:Cannot|failed to) connect to the docker (?:daemon|API) at|error during connect: "
    r"|(?:Failed to initialize: )?unable to resolve docker endpoint|Failed to initialize: "
    r"|conflicting options: |context \"[^\"]*\": context not found",
    re.IGNORECASE,
)
_SSH = re.compile(r"(?i:error: )?error during connect: .*\bcommand \[ssh .* has exited with .*?\bstderr=(.*)")
_REQUEST = re.compile(r"error during connect: (?:[^:\"]+: )??[A-Z][a-z]+ \"[^\"]*\": ", re.IGNORECASE)
_BROKEN = re.compile(r"write \|1: broken pipe")  # the pipe to ssh; what ssh said is lost then
_ASKS = re.compile(r"host key|permission denied|passphrase|password", re.IGNORECASE)
_PREFIX = re.compile(r"(?:error: |docker: |got )+", re.IGNORECASE)
_VERSIONS = re.compile(r"(?:Error response from daemon: )?client version .* is too (?:old|new)", re.IGNORECASE)
_CONTEXT = re.compile(r'context "([^"]*)": context not found')
_SOCKET = re.compile(r"unix://(/[^\s:;]*)")
_NO_PLUGIN = re.compile(r"is not a docker command|unknown command: docker|unknown (?:shorthand )?flag: ", re.IGNORECASE)


def unavailable(message: str) -> errors.ControllerError:
    """The one error of a missing piece."""
    return errors.ControllerError("DockerUnavailable", message)


def of_connection(lines: Sequence[str], address: str) -> errors.ControllerError | None:
    """The error when the last lines say that docker did not reach its engine; None when they say something else.

    Only whole lines as docker begins them count, and only the last ones: a program in a build may print anything.
    """
    if said := _of_ssh(lines[-_LAST_WORDS_OF_SSH:]):
        return unavailable(f"no engine answers at {address}: {said}")
    for line in reversed(lines[-_LAST_WORDS:]):
        words = _PREFIX.sub("", line, count=1) if _PREFIX.match(line) else line
        if _DENIED.match(words):
            return unavailable(f"permission denied on the engine's socket{_membership(words, address)}")
        if _SILENT.match(words) or _VERSIONS.match(words):
            return unavailable(f"no engine answers at {address}: {_cause(words, address)}")
    return None


def of_plugin(lines: Sequence[str], piece: docker_values.Piece) -> errors.ControllerError | None:
    """The error when docker did not know the command, or took its flags for its own (DK5)."""
    if any(_NO_PLUGIN.search(line) for line in lines[:_LAST_WORDS]):
        return unavailable(f"the {NAMES[piece]} of the docker command is missing: install {_PACKAGES[piece]}")
    return None


def of_deadline(what: str, seconds: float, address: str) -> errors.ControllerError:
    """The error of an engine that takes questions and never answers (DK3)."""
    return unavailable(f"docker {what} had no answer from {address} within {seconds:g} s (deadlines.probe)")


def of_answer(what: str, exit_code: int, lines: Sequence[str]) -> errors.ControllerError:
    """The error of a question that docker refused for a reason of its own."""
    words = _shown(lines[-1]) if lines else "it said nothing"
    return unavailable(f"docker {what} failed with exit code {exit_code}: {words}")


def of_noise(what: str, size: int) -> errors.ControllerError:
    """The error of an answer that cannot be read. It is not shown: it may hold anybody's environment."""
    return unavailable(f"docker {what} answered with {size} bytes that are not what was asked for")


def _of_ssh(lines: Sequence[str]) -> str:
    """Why ssh did not get through, in its own last words; "" when docker says nothing of ssh. Docker puts all lines of
    what ssh said at the end of a long sentence."""
    begun = [(number, found) for number, line in enumerate(lines) if (found := _SSH.match(line))]
    if not begun:
        return ""
    number, found = begun[-1]
    said = [line.strip() for line in (found[1], *lines[number + 1 :]) if line.strip()]
    words = f"ssh said: {_shown(' / '.join(said[-2:]))}" if said else "ssh ended without a word"
    asks = any(_ASKS.search(line) for line in said[-2:])
    return words + (" (it cannot ask here: log in once by hand, as this user and without a password)" if asks else "")


def _cause(words: str, address: str) -> str:
    path = _socket(words, address)
    if unknown := _CONTEXT.search(words):
        return f"the docker command knows no context {unknown[1]!r}; `docker context ls` lists them"
    if path and not os.path.exists(path):
        return f"there is no socket {path}; start the engine, or correct docker.host or DOCKER_HOST"
    if path and _SILENT.match(words) and "connect to the docker" in words.lower():
        return f"nobody listens on the socket {path}; start the engine"
    if _BROKEN.search(words):
        return "ssh ended before it took the request; `ssh` to that host by hand shows why"
    return _shown(_REQUEST.sub("", words, count=1))  # the address is told already


def _membership(words: str, address: str) -> str:
    path = _socket(words, address)
    if not path:
        return ""
    try:
        gid = os.stat(path).st_gid
    except OSError:
        return f" {path}: this user may not even look at it"
    try:
        name = f"the group {grp.getgrgid(gid).gr_name} (gid {gid})"
    except KeyError:
        name = f"the group with gid {gid}"
    return f" {path}: it belongs to {name}; add this user to that group, in a container with group_add"


def _socket(words: str, address: str) -> str:
    found = _SOCKET.search(words) or _SOCKET.search(address)
    return found[1].removesuffix(".") if found else ""


def _shown(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
