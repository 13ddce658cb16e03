"""What a command does with several targets: each is told of under its name, and there is one exit code for them all.

They are worked on one after another here, and side by side where `controller.commands.together` is asked for; one that
fails never keeps another from its part (faults.md C2). With one target, everything is as if there were no others.
"""

import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from controller import errors, output
from controller.commands import options as shared

if TYPE_CHECKING:
    from controller import cancellation, settings
    from controller.commands import answering

Work = Callable[["settings.Settings", output.Printer, "cancellation.Cuts"], int]
"""What is done with one target: it prints its result and returns its exit code, or raises `ControllerError`."""

Row = dict[str, Any]
"""One target of a set in docs/json.md: `target`, `exit_code` and `result`."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How several are worked on and told of. `table` makes lines of all results, in the place of those of each. With
    `together` they are worked on side by side, and with `waits` each begins when all that it is after have ended well.
    `answer` hears of errors that end the part of one of several, and `refused` of one that is not begun."""

    table: Callable[[Sequence[Row]], Iterable[str]] | None = None
    together: bool = False
    waits: bool = False
    answer: "answering.Answer | None" = None
    refused: "Callable[[settings.Settings, errors.ControllerError], object]" = lambda one, error: None


def run(
    options: dict[str, Any], schema: str, work: Work, manner: Manner = Manner(), *, cuts: "cancellation.Cuts"
) -> int:
    """Do `work` with every chosen target, and return the worst exit code. `schema` names the set of results; `cuts` is
    how the signals of this process are heard. Raises what a signal raises, once all have ended."""
    chosen, printer = shared.chosen(options), shared.printer(options)
    if len(chosen) == 1:
        return work(chosen[0], printer, cuts)
    parts = [Part(one, work, _of(one, printer, manner), manner) for one in chosen]
    if manner.together:
        from controller.commands import together

        together.run(parts, cuts, waits=manner.waits)
    else:
        for part in parts:
            part.run(cuts)
            part.tell()
    if manner.answer is not None:
        manner.answer.arrange([part.name for part in parts])
    code = errors.worst(part.code for part in parts)
    if printer.as_json or manner.table is not None:
        rows = [part.row for part in parts]
        lines = manner.table(rows) if manner.table else ()
        printer.result(f"{schema}-set", {"exit_code": code, "targets": rows}, lines)
    return code


class Part:
    """That of one target in the command: whatever goes wrong in it ends nothing else."""

    def __init__(self, configured: "settings.Settings", work: Work, printer: "_OfTarget", manner: Manner) -> None:
        self.name = configured.name
        self.after = configured.after
        self.code = errors.BUG
        """The exit code: this one until it has ended in some other way."""
        self._configured = configured
        self._work = work
        self._printer = printer
        self._manner = manner

    @property
    def good(self) -> bool:
        """Whether it has ended well."""
        return self.code in (errors.OK, errors.DIFFERENCES)

    @property
    def row(self) -> Row:
        """Its row in the result of all."""
        kept = self._printer.results
        return {"target": self.name, "exit_code": self.code, "result": kept[-1] if kept else None}

    def run(self, cuts: "cancellation.Cuts") -> None:
        """Do the work to its end. A bug is one of this target only."""
        try:
            self.code = self._work(self._configured, self._printer, cuts)
        except errors.ControllerError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - as at the end of a command: the others go on all the same
            self._printer.failure(traceback.format_exc().splitlines())
            self.fail(errors.ControllerError("Bug", type(error).__name__))

    def fail(self, error: errors.ControllerError) -> None:
        """It ends with this error."""
        self._printer.show(error)
        self.code = error.meaning.exit_code

    def refuse(self, error: errors.ControllerError) -> None:
        """It is not begun, because of others."""
        self.fail(error)
        self._manner.refused(self._configured, error)

    def tell(self) -> None:
        """Print what it had to say, whole."""
        self._printer.tell()


_one_at_a_time = threading.Lock()
"""Lines of several targets are not torn."""


def _of(one: "settings.Settings", printer: output.Printer, manner: Manner) -> "_OfTarget":
    return _OfTarget(
        as_json=printer.as_json or manner.table is not None,
        quiet=printer.quiet,
        verbose=printer.verbose,
        aside=printer.aside,
        target=one.name,
        answer=manner.answer,
    )


@dataclass(frozen=True, slots=True)
class _OfTarget(output.Printer):
    """Keeps what there is to say of one target among others until that is told, but for what is going on meanwhile:
    results that become part of one document for good, and of every other line it says whose it is."""

    results: list[Row] = field(default_factory=list)
    kept: list[tuple[TextIO, list[str]]] = field(default_factory=list)
    answer: "answering.Answer | None" = None

    def tell(self) -> None:
        """Print what was kept."""
        for stream, lines in self.kept:
            with _one_at_a_time:
                output.write(stream, lines)

    def put(self, stream: TextIO, lines: list[str]) -> None:
        """Keep the lines."""
        self.kept.append((stream, lines))

    def result(self, schema: str, payload: Any, lines: Iterable[str], **how: Any) -> None:
        """Keep the payload, or the lines under the name."""
        if self.as_json:
            self.results.append(output.document(schema, payload))
            return
        heading = () if self.aside else (f"target {self.target}",)
        output.Printer.result(self, schema, payload, [*heading, *lines], **how)

    def show(self, error: errors.ControllerError) -> None:
        """Tell of the error that ended the part of this target."""
        output.show_error(error, self)
        if self.answer is not None:
            self.answer.of_error(error, subject=self.target)

    def failure(self, lines: Iterable[str]) -> None:
        """Why this target failed."""
        output.Printer.failure(self, self._named(lines))

    def diagnostics(self, lines: Iterable[str]) -> None:
        """What a person should know of this target."""
        output.Printer.diagnostics(self, self._named(lines))

    def meanwhile(self, lines: Iterable[str]) -> None:
        """What is going on just now is not kept."""
        with _one_at_a_time:
            output.Printer(quiet=self.quiet).diagnostics(self._named(lines))

    def _named(self, lines: Iterable[str]) -> Iterator[str]:
        return (f"{self.target}: {line}" for line in lines)
