"""Which form the answer of a command takes: what `--output` says, else what the place that it runs in is made for.

Comes before everything else of a command, also where the command line is too wrong to be taken apart. Opens nothing.
"""

import os
from collections.abc import Sequence
from enum import StrEnum


class Form(StrEnum):
    """The values of `--output`."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    JUNIT = "junit"
    SARIF = "sarif"


DOCUMENTS = frozenset({Form.JUNIT, Form.SARIF})
"""Forms that fill stdout with one document, so that what people read goes to stderr."""

FOR_MACHINES = DOCUMENTS | {Form.GITHUB}

_STEPS = (("reconcile", "--once"), ("diff",), ("manifest", "validate"))
"""Commands that are steps of a job."""


def under_github() -> bool:
    """Whether a job of GitHub Actions runs this: the variable is the runner's own."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def of(given: str | None) -> Form:
    """The form of a step that was given this as `--output`, None for nothing."""
    if given is not None:
        return Form(given)
    return Form.GITHUB if under_github() else Form.TEXT


def of_arguments(arguments: Sequence[str]) -> Form:
    """The same from a whole command line, which may be wrong. The last `--output` counts; one that is no form is none.

    Commands that are no step print text when they are not asked for anything else."""
    given = _given(arguments)
    if given is None:
        return of(None) if _is_step(arguments) else Form.TEXT
    return Form(given) if given in set(Form) else Form.TEXT


def step_of(arguments: Sequence[str]) -> str:
    """The command's own words, as a title of its answer: ``manifest validate``."""
    words = [word for word in arguments[:2] if not word.startswith("-")]
    return " ".join(words[: 2 if words[:1] == ["manifest"] else 1]) or "controller"


def _is_step(arguments: Sequence[str]) -> bool:
    return any(tuple(arguments[:1]) == words[:1] and set(words) <= set(arguments) for words in _STEPS)


def _given(arguments: Sequence[str]) -> str | None:
    chosen = None
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--output":
            chosen = "".join(arguments[position + 1 : position + 2])
        elif argument.startswith("--output="):
            chosen = argument.removeprefix("--output=")
    return chosen
