"""`controller.yml` as a person starts with it: what was answered, and every other key as a comment with its default.

Made from the settings' own models, so that no key is missing and none is told otherwise than it is read. Knows nothing
of who answers; writes no file.
"""

import enum
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller import settings, settings_values

KeyPath = tuple[str, ...]
Answers = Mapping[KeyPath, Any]
"""What is set, by its path: ``{("source", "directory", "path"): "artifacts"}``. None sets nothing."""

_HEAD = """\
# What the controller does with one target. A key behind `# ` is not set, and is shown with its default: remove the `# `
# to set it, and that of the section around it. Check it with `controller doctor --config FILE`; `controller diff
# --config FILE` shows what a pass would do. Several stacks on one host: `Several stacks` in the README.
"""
_LONGEST = 120
_PLAIN = re.compile(r"[A-Za-z/.][A-Za-z0-9/._-]*")
_NO_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "."})
"""What YAML, in one of its versions, takes for something else than text, as far as `_PLAIN` lets it through."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A key at a depth. `off` is the depth at which its comment begins, None for one that is set."""

    depth: int
    text: str
    about: str
    off: int | None = None

    def __str__(self) -> str:
        """One line, or several where the description would make it too long."""
        before = "  " * self.depth if self.off is None else "  " * self.off + "# " + "  " * (self.depth - self.off)
        whole = f"{before}{self.text}  # {self.about}" if self.about else f"{before}{self.text}"
        if len(whole) <= _LONGEST:
            return whole
        above = textwrap.wrap(self.about, _LONGEST - len(before) - 2)
        return "".join(f"{before}# {line}\n" for line in above) + f"{before}{self.text}"


def write(answers: Answers) -> str:
    """The whole file."""
    given = {path: value for path, value in answers.items() if value is not None}
    return _HEAD + "".join(f"{line}\n" if line.depth else f"\n{line}\n" for line in _lines((), given))


def _lines(above: KeyPath, given: Answers, model: Any = settings.Settings) -> Iterator[_Line]:
    """Every key of a model that means something with one target, in its order; after a section everything in it."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        if path in settings.AMONG_SEVERAL:
            continue
        section = next(iter(settings.sections(field.annotation)), None)
        if section is None:
            yield _leaf(path, field, given)
            continue
        off = None if any(one[: len(path)] == path for one in given) else len(above)
        yield _Line(len(above), f"{name}:", " ".join((section.__doc__ or "").split()), off)
        for line in _lines(path, given, section):
            yield line if off is None else replace(line, off=off)


def _leaf(path: KeyPath, field: Any, given: Answers) -> _Line:
    """A key with what it is set to, or with its default."""
    if path in given:
        return _Line(len(path) - 1, f"{path[-1]}: {_scalar(given[path])}", field.description or "")
    default = "" if field.is_required() else _default(field)
    return _Line(len(path) - 1, f"{path[-1]}: {default}".rstrip(), field.description or "", len(path) - 1)


def _default(field: Any) -> str:
    """The default as a person writes it: times with their unit."""
    timed = any(getattr(one, "func", None) is settings_values.seconds for one in field.metadata)
    return f"{field.default:g}s" if timed else _scalar(field.default)


def _scalar(value: Any) -> str:
    """A value in one line of YAML; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, enum.Enum | Path):
        return _scalar(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_scalar(one) for one in value)}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT:
        return value
    return json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))
