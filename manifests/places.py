"""From findings to problems: key paths of one document become file, line and column.

Between the checks of `core`, which know values only, and whoever prints. Parses again only when a finding lies deeper
than the positions that the first parse kept. Also packs problems for the store, without the file's name, because the
same content may stand elsewhere next time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core import problems

Positions = Mapping[problems.KeyPath, tuple[int, int]]
"""Line and column, from 1, of the key of each mapping entry and of each list item."""

Packed = list[Any]
"""A problem as JSON: line, column, key, message, severity."""


def located(
    findings: Sequence[problems.Finding], *, file: str, shallow: Positions, deep: Callable[[], Positions]
) -> tuple[problems.Problem, ...]:
    """Each finding at its place; where the key itself has none (it is missing, or came through a merge key), at the
    nearest one around it. `deep` gives every position of the document, and is called only when it is needed."""
    positions = shallow if all(finding.path in shallow for finding in findings) else deep()
    return tuple(
        problems.Problem(
            file,
            *_nearest(finding.path, positions),
            problems.format_path(finding.path),
            finding.message,
            finding.severity,
        )
        for finding in findings
    )


def has_errors(found: Sequence[problems.Problem]) -> bool:
    """Whether anything among them stops the artifact."""
    return any(problem.severity is problems.Severity.ERROR for problem in found)


def pack(problem: problems.Problem) -> Packed:
    """The problem without its file, as JSON."""
    return [problem.line, problem.column, problem.key, problem.message, str(problem.severity)]


def unpack(packed: Packed, *, file: str) -> problems.Problem:
    """The packed problem in this file."""
    line, column, key, message, severity = packed
    return problems.Problem(file, line, column, key, message, problems.Severity(severity))


def _nearest(path: problems.KeyPath, positions: Positions) -> tuple[int, int]:
    for length in range(len(path), -1, -1):
        if path[:length] in positions:
            return positions[path[:length]]
    return (1, 1)
