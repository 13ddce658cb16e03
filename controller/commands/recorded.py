"""Rows of the record as `events` and `history` show them: newest first, of one target or of each of several.

Owns what those two have in common; what a row says is theirs. Only looks, and asks neither source nor engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controller import cancellation, errors, memory, output, settings, target
from controller.commands import several

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """One kind of rows: the name of its document in docs/json.md, a row in that, and a row as a line for people."""

    schema: str
    payload: Callable[[Row], dict[str, Any]]
    line: Callable[[Row], str]


def show(
    kind: Kind[Row],
    options: dict[str, Any],
    read: Callable[[memory.Memory], Sequence[Row]],
    *,
    cuts: cancellation.Cuts,
) -> int:
    """Print what `read` finds in the record of every chosen target; the exit code. Raises `ControllerError` where there
    is no CONFIG_DIR."""

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened:
            rows = read(opened.memory)
        lines = [kind.line(row) for row in rows] or ["nothing is recorded yet"]
        printer.result(kind.schema, {"rows": [kind.payload(row) for row in rows]}, lines)
        return errors.OK

    return several.run(options, kind.schema, work, cuts=cuts)
