"""Calls of the docker command and what their ends mean.

Stands between `controller.docker`, which runs commands, and its callers: here an exit code and bytes become an answer,
`CommandFailed`, `DeadlinePassed`, or ``ControllerError("DockerUnavailable")``. Questions that observe raise only the
last one: what cannot be observed is unavailable. Runs nothing itself.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from controller import docker_child, docker_failures, docker_output, docker_values, errors

AT_ONCE = 500
"""Things that one call inspects: an answer has room for a good deal more (`docker_child.LONGEST_ANSWER`)."""

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_ABSENT = re.compile(r"no such (?:container|image|object)|invalid reference format", re.IGNORECASE)
_COMPLAINT = re.compile(r"error\b", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)")
_EVENT = re.compile(r"(?:start|die) ?(\d*)")
_NOTHING = b"[]"
"""The answer about things none of which is there: with a format nothing is printed at all."""
_BY_THE_DEADLINE = frozenset({124, 137})  # of timeout, and of a group that had to be killed


@dataclass(frozen=True, slots=True)
class Raw:
    """A call that is over, as the system tells it. A negative `exit_code` is a signal. `output` is stdout, or the end
    of everything when a log was wanted; `complaint` is stderr."""

    exit_code: int
    output: bytes
    complaint: bytes
    took_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over. `lines` are what it said to people; `late` says that its deadline ended it."""

    exit_code: int
    output: bytes
    lines: tuple[str, ...]
    late: bool


Run = Callable[[Sequence[str], float, bool], Raw]
"""Runs docker with these words, within so many seconds; for its log, or for its answer."""


def ended(raw: Raw, seconds: float, *, log: bool) -> Ended:
    """The call in our words: everything in `lines` may be shown."""
    code = 128 - raw.exit_code if raw.exit_code < 0 else raw.exit_code
    late = code in _BY_THE_DEADLINE and raw.took_s >= seconds
    said, most = (raw.output, docker_child.LONGEST_LOG) if log else (raw.complaint, docker_child.LONGEST_COMPLAINT)
    lines = docker_output.tail(said, docker_output.secret_values(os.environ), cut=len(said) >= most)
    if late and lines[-1:] == ("Terminated",):  # the shell's own word
        lines = lines[:-1]
    return Ended(code, raw.output, lines, late)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one engine. `address` is for messages; questions have `probe_s` to be answered in."""

    run: Run
    address: str
    probe_s: float

    def ask(self, *words: str, piece: docker_values.Piece | None = None, partly: bool = False) -> bytes:
        """The answer to a question. `piece` is the plugin that the first word needs. `partly`: a complaint that some of
        the things named are not there is part of the answer."""
        what = " ".join(word for word in words[:2] if not word.startswith("-"))
        found = ended(self.run(words, self.probe_s, False), self.probe_s, log=False)
        if found.late:
            raise docker_failures.of_deadline(what, self.probe_s, self.address)
        if not found.exit_code:
            return found.output
        if partly and _only_absent(found.lines):
            return found.output.strip() or _NOTHING
        self.require_connection(found, piece)
        raise docker_failures.of_answer(what, found.exit_code, found.lines)

    def tell(self, seconds: float, *words: str) -> tuple[str, ...]:
        """Have something done; the last lines of what was said. Raises `CommandFailed`, `DeadlinePassed`."""
        found = ended(self.run(words, seconds, True), seconds, log=True)
        self.require_success(found, seconds)
        return found.lines

    def require_success(self, found: Ended, seconds: float, piece: docker_values.Piece | None = None) -> None:
        """Raise what the end of a call means, unless it was a success."""
        if found.late:
            raise docker_values.DeadlinePassed(seconds, found.lines)
        if found.exit_code:
            self.require_connection(found, piece)
            raise docker_values.CommandFailed(found.exit_code, found.lines)

    def require_connection(self, found: Ended, piece: docker_values.Piece | None = None) -> None:
        """Raise when the call failed because the engine, or the piece that it needs, is not there."""
        failure = docker_failures.of_connection(found.lines, self.address)
        failure = failure or (docker_failures.of_plugin(found.lines, piece) if piece else None)
        if failure:
            raise failure

    def inspected(self, kind: str, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
        """What ``docker KIND inspect`` shows of those that are there. One call for every `AT_ONCE` of them."""
        parts = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
        one_each = "--format={{json .}}"  # indented as by default, it is read a line at a time: 200 for a container
        answers = (self.ask(kind, "inspect", one_each, "--", *part, partly=True) for part in parts)
        return tuple(one for answer in answers for one in objects(f"{kind} inspect", answer))

    def ids(self, *words: str) -> tuple[str, ...]:
        """The ids in an answer, each once. What is printed besides, as a warning, is none (faults.md H5)."""
        lines = (line.strip() for line in self.ask(*words).decode(errors="replace").splitlines())
        return tuple(dict.fromkeys(line for line in lines if _ID.fullmatch(line)))

    def fate(self, label: str) -> tuple[int | None, ...] | None:
        """What the engine's events tell about the container with this label (``name=value``), which may be gone:
        nothing when it was never started; its exit code, beside None for its start; None when nobody answers."""
        try:
            now = _MOMENT.search(self.ask("info", "--format", "{{.SystemTime}}").decode(errors="replace"))
            if now is None:
                return None
            events = self.ask(
                "events",
                f"--until={now[0]}",
                f"--filter=label={label}",
                "--filter=event=start",
                "--filter=event=die",
                '--format={{.Action}} {{index .Actor.Attributes "exitCode"}}',
            )
        except errors.ControllerError:
            return None
        lines = events.decode(errors="replace").splitlines()
        found = [match for line in lines if (match := _EVENT.fullmatch(line.strip()))]
        return tuple(int(one[1]) if one[1] else None for one in found)


def objects(what: str, answer: bytes) -> tuple[dict[str, Any], ...]:
    """The JSON objects of an answer. Raises `ControllerError("DockerUnavailable")` when it is something else."""
    try:
        return docker_output.answered(answer)
    except ValueError:
        raise docker_failures.of_noise(what, len(answer)) from None


def _only_absent(lines: Sequence[str]) -> bool:
    complaints = [line for line in lines if _COMPLAINT.match(line)]
    return bool(complaints) and all(_ABSENT.search(line) for line in complaints)
