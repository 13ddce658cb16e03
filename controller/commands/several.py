"""What a command does with several targets: one after another, each under its name, with one exit code for them all.

One that fails never keeps the next one from its turn (faults.md C2). With one target, everything is as if there were
no others.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller import errors, output
from controller.commands import options as shared

if TYPE_CHECKING:
    from controller import settings
    from controller.commands import answering

Work = Callable[["settings.Settings", output.Printer], int]
"""What is done with one target: it prints its result and returns its exit code, or raises `ControllerError`."""

Row = dict[str, Any]
"""One target of a set in docs/json.md: `target`, `exit_code` and `result`."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How several are told of together. `table` makes lines of all results, in the place of those of each. With
    `waits`, a target behind a failed one is left out. `answer` hears of errors that end the turn of one of several."""

    table: Callable[[Sequence[Row]], Iterable[str]] | None = None
    waits: bool = False
    answer: "answering.Answer | None" = None


def run(options: dict[str, Any], schema: str, work: Work, manner: Manner = Manner()) -> int:
    """Do `work` with every chosen target, and return the worst exit code. `schema` names the set of results."""
    chosen, printer = shared.chosen(options), shared.printer(options)
    if len(chosen) == 1:
        return work(chosen[0], printer)
    rows: list[Row] = []
    codes: dict[str, int] = {}
    for one in chosen:
        told = _OfTarget(
            as_json=printer.as_json or manner.table is not None,
            quiet=printer.quiet,
            verbose=printer.verbose,
            aside=printer.aside,
            target=one.name,
            answer=manner.answer,
        )
        failed = [name for name in one.after if manner.waits and codes[name] not in (errors.OK, errors.DIFFERENCES)]
        codes[one.name] = _code(one, told, _refused(failed) if failed else work)
        rows.append(
            {"target": one.name, "exit_code": codes[one.name], "result": told.results[-1] if told.results else None}
        )
    code = errors.worst(codes.values())
    if printer.as_json or manner.table is not None:
        lines = manner.table(rows) if manner.table else ()
        printer.result(f"{schema}-set", {"exit_code": code, "targets": rows}, lines)
    return code


def _refused(failed: list[str]) -> Work:
    def work(configured: "settings.Settings", printer: output.Printer) -> int:
        del configured, printer
        is_after = f"target{'s' if len(failed) > 1 else ''} {', '.join(failed)}"
        raise errors.ControllerError("AfterFailed", f"not run: it is after {is_after}, which failed")

    return work


def _code(one: "settings.Settings", printer: "_OfTarget", work: Work) -> int:
    """The exit code of one target. A bug in its turn ends only that."""
    try:
        return work(one, printer)
    except errors.ControllerError as error:
        printer.show(error)
        return error.meaning.exit_code
    except Exception as error:  # noqa: BLE001 - as at the end of a command: the next target has its turn all the same
        printer.failure(traceback.format_exc().splitlines())
        printer.show(errors.ControllerError("Bug", type(error).__name__))
        return errors.BUG


@dataclass(frozen=True, slots=True)
class _OfTarget(output.Printer):
    """Tells of one target among others: results are kept where they become part of one document, and every other line
    says whose it is."""

    target: str = ""
    results: list[Row] = field(default_factory=list)
    answer: "answering.Answer | None" = None

    def result(self, schema: str, payload: Any, lines: Iterable[str], **how: Any) -> None:
        """Keep the payload, or print the lines under the name."""
        if self.as_json:
            self.results.append(output.document(schema, payload))
            return
        heading = () if self.aside else (f"target {self.target}",)
        output.Printer.result(self, schema, payload, [*heading, *lines], **how)

    def show(self, error: errors.ControllerError) -> None:
        """Tell of the error that ended the turn of this target."""
        output.show_error(error, self)
        if self.answer is not None:
            self.answer.of_error(error, subject=self.target)

    def failure(self, lines: Iterable[str]) -> None:
        """Why this target failed."""
        output.Printer.failure(self, self._named(lines))

    def diagnostics(self, lines: Iterable[str]) -> None:
        """What a person should know of this target."""
        output.Printer.diagnostics(self, self._named(lines))

    def _named(self, lines: Iterable[str]) -> Iterator[str]:
        return (f"{self.target}: {line}" for line in lines)
