"""The answer of a step for GitHub Actions: annotations, the job summary, the step's outputs.

Annotations are workflow commands on stdout, escaped as the runner reads them; there are never more than ten, which is
what GitHub shows of a step. Summary and outputs are files that the runner names; one that cannot be written is a note
and changes nothing (faults.md P15).
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping

from controller import output
from controller.outputs import endings, markdown, places

MOST_ANNOTATIONS = 10
"""What GitHub shows of one step and level; what comes after them is counted."""

MOST_SUMMARY = 1_000_000
"""Bytes of a step's summary. GitHub drops one of more than 1 MiB as a whole."""

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}
_ORDER = {endings.Level.ERROR: 0, endings.Level.WARNING: 1}


def annotations(run: endings.Run) -> Iterator[str]:
    """The workflow commands: errors first, at most `MOST_ANNOTATIONS`, then one line that counts the others."""
    found = [(finding, ending) for ending in run.endings for finding in ending.findings]
    found.sort(key=lambda one: _ORDER[one[0].level])
    # Targets of one source find the same at the same place: told once for each of them, it would hide everything else.
    told = list(dict.fromkeys(_annotation(finding, ending) for finding, ending in found))
    yield from told[:MOST_ANNOTATIONS]
    more = len(told) - MOST_ANNOTATIONS
    if more > 0:
        yield _command("notice", {"title": run.command}, f"and {more} more")


def _annotation(finding: endings.Finding, ending: endings.Ending) -> str:
    """GitHub puts what has no file under the job as a whole."""
    properties = {"file": places.of(finding.file, ending.root)} if finding.file else {}
    if finding.file and finding.line:
        properties |= {"line": str(finding.line), "col": str(max(finding.column, 1))}
    text = f"{ending.subject}: {finding.message}" if ending.subject and not finding.file else finding.message
    return _command(str(finding.level), {**properties, "title": finding.reason}, text)


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    given = ",".join(f"{key}={_escaped(output.clean(value), _PROPERTY)}" for key, value in properties.items())
    lines = "\n".join(output.clean(line) for line in text.split("\n"))
    # An older form of commands is looked for anywhere in a line (`output`).
    return f"::{name} {given}::{_escaped(lines, _DATA)}".replace("##[", "#\\x23[")


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


def outputs(run: endings.Run) -> str:
    """The step's outputs, one a line: nothing in them may end a line (`output.clean`)."""
    chief = run.chief
    values = {
        "exit-code": str(run.exit_code),
        "reason": run.reason,
        "changed": "true" if run.changed else "false",
        "revision": chief.revision,
        "summary": chief.headline,
    }
    return "".join(f"{name}={output.clean(value)}\n" for name, value in values.items())


def written(run: endings.Run) -> Iterator[str]:
    """Append summary and outputs to the files that the runner names. Yields what there is to note about that."""
    for name, most in (("GITHUB_STEP_SUMMARY", MOST_SUMMARY), ("GITHUB_OUTPUT", 0)):
        path = os.environ.get(name)
        if not path:
            continue
        try:
            _append(path, run, most)
        except OSError as error:
            yield f"{name}: cannot be written ({error.strerror}); nothing else is changed by that"


def _append(path: str, run: endings.Run, most: int) -> None:
    """Only to a file or a device: nobody waits for the reader of a FIFO. A last line that somebody left open is
    ended."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        seen = os.fstat(descriptor)
        if not (stat.S_ISREG(seen.st_mode) or stat.S_ISCHR(seen.st_mode)):
            raise OSError(errno.EINVAL, "it is no file")
        is_open = seen.st_size and os.pread(descriptor, 1, seen.st_size - 1) != b"\n"
        start = "\n" if is_open else ""
        text = markdown.summary(run, most - seen.st_size - 1) if most else outputs(run)
        if not text:
            raise OSError(errno.ENOSPC, "it is full")
        left = memoryview((start + text).encode("utf-8", "backslashreplace"))
        while left:
            count = file.write(left)
            if not count:
                raise OSError(errno.EAGAIN, "it takes nothing")
            left = left[count:]
