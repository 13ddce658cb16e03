"""What one check of `controller doctor` says, and how an error becomes one. The checks are in `controller.checks…`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller import errors

OK, WARN, FAIL = "ok", "warn", "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and what to do when it is not well. `target` is the one of several that
    it is about, "" for none."""

    name: str
    status: str
    detail: str
    hint: str = ""
    target: str = ""


def failed(name: str, error: errors.ControllerError) -> Check:
    """The error that a pass would end with, and its way out; the first place, where it has places."""
    first = f": {error.problems[0]}" if error.problems and str(error.problems[0]) not in error.message else ""
    return Check(name, FAIL, f"{error.message}{first}", error.meaning.hint)


def guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What it says, up to the error that ends it."""
    try:
        yield from check()
    except errors.ControllerError as error:
        yield failed(name, error)
