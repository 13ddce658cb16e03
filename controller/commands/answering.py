"""What the steps of a job share: one answer in the form that was asked for, about everything that the step was about.

Used by `reconcile --once`, `diff` and `manifest validate`. `controller.cli` answers for what failed before there was
anything to show.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller import errors, report
from controller.outputs import choice
from controller.sources import directory
from core import plan

if TYPE_CHECKING:
    from controller.outputs import endings


class Answer:
    """Collects endings, one a target, and tells of them at the end. Where only people are told, it does nothing."""

    def __init__(self, options: dict[str, Any], command: str) -> None:
        self._form = choice.of(options["output_format"])
        self._command = command
        self._endings: list[endings.Ending] = []

    @contextlib.contextmanager
    def about(self, root: str) -> Iterator[None]:
        """Give errors of what is inside the folder that the files of their problems stand in."""
        try:
            yield
        except errors.ControllerError as error:
            error.root = error.root or root
            raise

    def of_error(self, error: errors.ControllerError, *, subject: str) -> None:
        """One of several targets has failed before it had anything to show, and the next one has its turn."""
        if self._is_wanted:
            from controller.outputs import endings

            self._endings.append(replace(endings.of_error(error), subject=subject))

    def of_report(self, ended: report.Report, *, subject: str, root: str) -> None:
        """One pass has ended."""
        if self._is_wanted:
            from controller.outputs import endings

            self._endings.append(replace(endings.of_report(ended, root=root), subject=subject))

    def of_plan(self, decision: plan.Plan, *, differs: bool, subject: str, root: str) -> None:
        """One comparison has ended."""
        if self._is_wanted:
            from controller import plan_text
            from controller.outputs import endings

            ended = endings.of_plan(decision, plan_text.summary(decision), differs=differs, root=root)
            self._endings.append(replace(ended, subject=subject))

    def arrange(self, subjects: Sequence[str]) -> None:
        """In this order, whatever the one in which they ended."""
        self._endings.sort(key=lambda each: subjects.index(each.subject))

    def told(self, exit_code: int) -> int:
        """Tell of all of them; the exit code, which no answer ever changes. A target that is alone needs no name."""
        alone = len(self._endings) == 1
        return self._tell(exit_code, [replace(each, subject="") if alone else each for each in self._endings])

    def told_of_validations(self, exit_code: int, found: Sequence[directory.Validation]) -> int:
        """The same of artifacts that were checked, each under its path."""
        if not self._is_wanted:
            return exit_code
        from controller.outputs import endings

        return self._tell(exit_code, [endings.of_validation(each) for each in found])

    @property
    def _is_wanted(self) -> bool:
        return self._form in choice.FOR_MACHINES

    def _tell(self, exit_code: int, ended: "list[endings.Ending]") -> int:
        if self._is_wanted:
            from controller.outputs import answers, endings

            answers.tell(self._form, endings.Run(self._command, exit_code, tuple(ended)))
        return exit_code
