"""Variables and quotes in the arguments of FROM and ARG, replaced as BuildKit does it before it looks for an image.

Used by `core.dockerfile`. Read are ``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}``, with quotes of both
kinds; patterns, escapes and whatever versions of BuildKit read differently are refused. No value is ever shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core import dockerfile_words

AUTOMATIC = frozenset(
    {f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")}
    | {"TARGETSTAGE"}
)
"""What BuildKit sets from the platform of the build, which is not known here."""

Values = Mapping[str, str | dockerfile_words.Unclear | None]
"""What ARG lines before the first FROM declared: a value, None for none, or why the value cannot be told."""

_DEEPEST = 8
_LONGEST = 4096
"""More than a reference may have; without a limit, a few lines of ARG could double a text until memory ends."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[^'\"$\\`}]+")
_ARGUMENT = re.compile(
    rf"([A-Za-z_][A-Za-z0-9_]*)(?:=((?:[^{dockerfile_words.SPACES}'\"\\`]|'[^'\\`]*'|\"[^\"\\`]*\")*+))?"
    rf"(?:[{dockerfile_words.SPACES}]+|\Z)"
)


def expand(word: str, values: Values) -> str:
    """The word as BuildKit takes it. Raises `Unclear` when that depends on what is not known, or is not certain."""
    return _Reading(word, values).until("", used=True, depth=0)


def declared(arguments: str) -> tuple[tuple[str, str | None], ...]:
    """The names of one ARG line, each with its default (as written) or None. Raises `Unclear`."""
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(arguments):
        word = _ARGUMENT.match(arguments, at)
        if word is None:
            raise dockerfile_words.Unclear("must be ARG NAME or ARG NAME=value, without backslash and backtick")
        found.append((word[1], word[2]))
        at = word.end()
    if not found:
        raise dockerfile_words.Unclear("names no variable")
    return tuple(found)


@dataclass(slots=True)
class _Reading:
    """One word from left to right. A part that is not `used` is read for its end only: its variables may be unset."""

    word: str
    values: Values
    at: int = 0

    def until(self, stop: str, *, used: bool, depth: int) -> str:
        """What stands before `stop`, which is read too; before the end of the word when it is empty."""
        if depth > _DEEPEST:
            raise dockerfile_words.Unclear("has variables in variables, deeper than is read here")
        text = ""
        while self.at < len(self.word):
            if self.word[self.at] == stop:
                self.at += 1
                return text
            text += self._part(stop, used=used, depth=depth)
            if len(text) > _LONGEST:
                raise dockerfile_words.Unclear(f"has a value of more than {_LONGEST} characters")
        if stop:
            raise dockerfile_words.Unclear(f"has no closing {stop}")
        return text

    def _part(self, stop: str, *, used: bool, depth: int) -> str:
        plain = _PLAIN.match(self.word, self.at)
        if plain:
            self.at = plain.end()
            return plain.group()
        char = self.word[self.at]
        self.at += 1
        if char in "\\`":
            raise dockerfile_words.Unclear("has a backslash or a backtick in the name of an image: leave it out")
        if char == "$":
            return self._variable(used=used, depth=depth)
        if char == '"':
            return self.until('"', used=used, depth=depth + 1)
        if char == "'" and stop != '"':
            return self._verbatim()
        return char

    def _verbatim(self) -> str:
        end = self.word.find("'", self.at)
        if end < 0:
            raise dockerfile_words.Unclear("has no closing '")
        text, self.at = self.word[self.at : end], end + 1
        return text

    def _variable(self, *, used: bool, depth: int) -> str:
        braces = self.word.startswith("{", self.at)
        found = _NAME.match(self.word, self.at + braces)
        if found is None:
            raise dockerfile_words.Unclear("has a '$' without the name of a variable")
        name, self.at = found.group(), found.end()
        if not braces:
            return self._plain(name, used=used)
        operator = self.word[self.at : self.at + (1 if self.word.startswith("}", self.at) else 2)]
        self.at += len(operator)
        match operator:
            case "}":
                return self._plain(name, used=used)
            case ":-" | ":+":
                return self._either(name, operator == ":-", used=used, depth=depth)
            case _:
                raise dockerfile_words.Unclear(
                    f"has {name} in a form that is not read here: ${{{name}}}, ${{{name}:-text}}, ${{{name}:+text}} are"
                )

    def _either(self, name: str, instead: bool, *, used: bool, depth: int) -> str:
        value = self._value(name) if used else ""
        takes_word = bool(value) != instead
        word = self.until("}", used=used and takes_word, depth=depth + 1)
        if takes_word:
            return word
        return value or ""

    def _plain(self, name: str, *, used: bool) -> str:
        value = self._value(name) if used else ""
        if value is None:
            raise dockerfile_words.Unclear(
                f"has the variable {name}, which has no value: give it one with ARG {name}=value before the first "
                f"FROM, or with ARG {name} there and a build argument"
            )
        return value

    def _value(self, name: str) -> str | None:
        if name in AUTOMATIC:
            raise dockerfile_words.Unclear(
                f"has the variable {name} in the name of an image, which depends on the engine: write it out"
            )
        value = self.values.get(name)
        if isinstance(value, dockerfile_words.Unclear):
            raise dockerfile_words.Unclear(str(value))
        return value
