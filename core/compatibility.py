"""Whether the running stack can take the artifact: contract.md section 6.

Owns the verdict table, all of its rows, and what the same look says of the stack's health and of the tag of its
lambda base. Judges `core.stack` by `core.stack_reading`; compatibility is never guessed from files. Three-valued: what
cannot be seen is "unknown", which warns, and by itself never leads to an action (faults.md H8).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from core import stack, stack_reading

SUPPORTED_API = "1.0"
"""The runtime stack API that this controller applies artifacts for."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """`runtime_stack` of the manifest."""

    api_version: str
    mode: str
    esb_version: str


class Code(StrEnum):
    """The rows of the table."""

    NOTHING_OBSERVABLE = "NothingObservable"
    MODE_DIFFERS = "ModeDiffers"
    MODE_UNKNOWN = "ModeUnknown"
    API_MAJOR_DIFFERS = "ApiMajorDiffers"
    API_MINOR_DIFFERS = "ApiMinorDiffers"
    VERSION_DIFFERS = "VersionDiffers"
    VERSION_UNKNOWN = "VersionUnknown"
    SERVICES_DISAGREE = "ServicesDisagree"


_ALWAYS_BLOCKING = frozenset({Code.MODE_DIFFERS, Code.API_MAJOR_DIFFERS})
_UNKNOWN = frozenset({Code.NOTHING_OBSERVABLE, Code.MODE_UNKNOWN, Code.VERSION_UNKNOWN, Code.SERVICES_DISAGREE})


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table that applies. `blocks` tells an error from a warning."""

    code: Code
    message: str
    blocks: bool


class Verdict(StrEnum):
    """What findings amount to (faults.md H8)."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


class Health(NamedTuple):
    """The condition ``Healthy``: ``True``, ``False`` or ``Unknown``, a reason, and a sentence."""

    status: str
    reason: str
    message: str


def judge(requirement: Requirement | None, seen: stack.Stack, *, strict: bool) -> tuple[Finding, ...]:
    """Every row of the table of contract.md section 6 that applies: mode, API, version, skew; none without a
    requirement. `strict` makes errors of the warnings."""
    if requirement is None:
        return ()
    return tuple(
        Finding(code, message, blocks=strict or code in _ALWAYS_BLOCKING) for code, message in _rows(requirement, seen)
    )


def verdict(findings: Iterable[Finding]) -> Verdict:
    """What the findings of `judge` for a requirement amount to."""
    codes = {finding.code for finding in findings}
    if codes - _UNKNOWN:
        return Verdict.MISMATCH
    return Verdict.UNKNOWN if codes else Verdict.MATCH


def observed_tag(seen: stack.Stack) -> str:
    """The tag of the running stack, which the floating lambda base takes (contract.md section 5); "" when none is shown
    or services of the control plane have different ones."""
    tags = {each.tag for each in stack_reading.control_plane(seen) if each.tag}
    return tags.pop() if len(tags) == 1 else ""


def health(seen: stack.Stack) -> Health:
    """The condition ``Healthy``, of all services of the project. An exited one-shot is in its normal state
    (consumers.md PR2); a container that starts is neither healthy nor ill."""
    ill = [text for each in seen.services if (text := _ailment(each))]
    starting = [each.name for each in seen.services if _starts(each)]
    running = [each.name for each in seen.services if each.state in stack_reading.LIVE]
    if ill:
        return Health("False", "Unhealthy", "; ".join(dict.fromkeys(ill)))
    if starting:
        return Health("Unknown", "Starting", f"still starting: {', '.join(dict.fromkeys(starting))}")
    if not running:
        return Health("Unknown", Code.NOTHING_OBSERVABLE, seen.unknown or f"nothing runs in {seen.source}")
    return Health("True", "Healthy", f"running: {', '.join(dict.fromkeys(running))}")


def _ailment(service: stack.Service) -> str:
    """What is wrong with one container, "" when nothing is."""
    if service.state in ("exited", "dead"):
        code = "" if service.exit_code is None else f" with {service.exit_code}"
        return "" if service.one_shot else f"{service.name} {'is dead' if service.state == 'dead' else f'exited{code}'}"
    if service.state in ("restarting", "paused"):
        return f"{service.name} is {service.state}"
    return f"{service.name} is unhealthy" if service.health == "unhealthy" else ""


def _starts(service: stack.Service) -> bool:
    ended = service.state in ("exited", "dead")
    return not ended and (service.state != "running" or service.health == "starting")


def _rows(required: Requirement, seen: stack.Stack) -> Iterator[tuple[Code, str]]:
    services = stack_reading.control_plane(seen)
    if services:
        yield from _mode(required, seen)
    else:
        yield Code.NOTHING_OBSERVABLE, _nothing(required, seen)
    yield from _api(required)
    if services:
        yield from _version(required, seen)
        for sentence in stack_reading.skew(seen):
            yield Code.SERVICES_DISAGREE, f"services of {_place(seen)} disagree: {sentence}"


def _nothing(required: Requirement, seen: stack.Stack) -> str:
    why = seen.unknown or f"none of {', '.join(stack_reading.CONTROL_PLANE)} runs in {_place(seen)}"
    return (
        f"the artifact requires a {required.mode} stack with API {required.api_version} and version "
        f"{required.esb_version}; nothing is observable: {why}"
    )


def _mode(required: Requirement, seen: stack.Stack) -> Iterator[tuple[Code, str]]:
    found = stack_reading.mode(seen)
    if found is None:
        yield Code.MODE_UNKNOWN, f"{_wanted('mode', required.mode)}; {_unread('mode', seen)}"
    elif found.value != required.mode:
        yield Code.MODE_DIFFERS, f"{_wanted('mode', required.mode)}; {_shown(found, seen)}"


def _version(required: Requirement, seen: stack.Stack) -> Iterator[tuple[Code, str]]:
    found = stack_reading.version(seen)
    wanted = _wanted("version", required.esb_version)
    if found is None:
        yield Code.VERSION_UNKNOWN, f"{wanted}; {_unread('version', seen)}"
    elif required.esb_version not in (found.service.tag, found.service.version):
        yield Code.VERSION_DIFFERS, f"{wanted}; {_shown(found, seen)}"


def _api(required: Requirement) -> Iterator[tuple[Code, str]]:
    """The API is not observed: it is what this controller, as the applier, supports."""
    wanted, supported = _numbers(required.api_version), _numbers(SUPPORTED_API)
    if wanted != supported:
        code = Code.API_MAJOR_DIFFERS if wanted[0] != supported[0] else Code.API_MINOR_DIFFERS
        yield code, f"{_wanted('API', required.api_version)}; this controller supports {SUPPORTED_API}"


def _numbers(api_version: str) -> tuple[int, int]:
    """Major and minor of what `core.grammar.API_VERSION` lets through; a bare major means .0: contract.md section 2."""
    major, _, minor = api_version.partition(".")
    return int(major), int(minor or 0)


def _wanted(what: str, value: str) -> str:
    return f"the artifact requires {what} {value}"


def _shown(found: stack_reading.Inferred, seen: stack.Stack) -> str:
    return f"{_place(seen)} runs {found.value} ({found.service.name}: {found.service.image})"


def _unread(what: str, seen: stack.Stack) -> str:
    images = (f"{each.name}: {each.image}" for each in stack_reading.control_plane(seen))
    return f"the {what} of {_place(seen)} cannot be inferred from {', '.join(dict.fromkeys(images))}"


def _place(seen: stack.Stack) -> str:
    return seen.source or f"compose project {seen.project}"
