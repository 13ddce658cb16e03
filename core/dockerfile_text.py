"""A Dockerfile as BuildKit's parser cuts it: parser directives, and instructions with where each character stands.

Used by `core.dockerfile`. Owns lines, continuations, comments between them and the bodies of here-documents, which are
no instructions. What cannot be read for certain raises `UnclearLine`, because everything after it would be a guess.
Knows nothing of images.
"""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core import dockerfile_words as words

_WITH_HEREDOCS = frozenset({"add", "copy", "run"})
_WITHOUT_HEREDOCS = frozenset({"arg", "cmd", "entrypoint", "env", "expose", "from", "healthcheck", "label"})
_RARE = frozenset({"maintainer", "onbuild", "shell", "stopsignal", "user", "volume", "workdir"})
_INSTRUCTIONS = _WITH_HEREDOCS | _WITHOUT_HEREDOCS | _RARE
_DIRECTIVE = re.compile(rf"([{words.SPACES}]*)#[{words.SPACES}]*([A-Za-z][A-Za-z0-9]*)[{words.SPACES}]*=")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})


class UnclearLine(Exception):
    """What cannot be read for certain, and the line it stands in, counted from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file without its end; `start` is where it begins in the file's text."""

    number: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Directives:
    """The parser directives at the top: their lines with their names, in order, and the escape character."""

    lines: tuple[tuple[Line, str], ...] = ()
    escape: str = "\\"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its lines joined. `name` is in lower case; `text[arguments:]` is what follows it.

    `pieces` says for each of its lines where its part begins in `text`, and where in the file.
    """

    line: int
    name: str
    text: str
    arguments: int
    pieces: tuple[tuple[int, int], ...]

    def place(self, start: int, end: int) -> tuple[int, int] | None:
        """Where `text[start:end]` stands in the file; None when more than one line has a part of it."""
        first = bisect.bisect_right(self.pieces, start, key=lambda piece: piece[0]) - 1
        last = bisect.bisect_left(self.pieces, end, key=lambda piece: piece[0]) - 1
        if first != last:
            return None
        begin, stands = self.pieces[first]
        return stands + start - begin, stands + end - begin


def lines(text: str) -> tuple[Line, ...]:
    """All lines. A byte order mark is no part of the first."""
    found: list[Line] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        mark = 1 if number == 1 and line.startswith("\ufeff") else 0
        found.append(Line(number, start + mark, line[mark:].rstrip("\r")))
        start += len(line) + 1
    return tuple(found)


def directives(found: Sequence[Line]) -> Directives:
    """The parser directives, which end at the first line that is none. Raises `UnclearLine`."""
    lines_of: dict[str, Line] = {}
    escape = "\\"
    shebang = found[0].text.startswith("#!")
    for line in found[shebang:]:
        match = _DIRECTIVE.match(line.text)
        name = match[2].lower() if match else ""
        value = line.text[match.end() :].strip(words.SPACES) if match else ""
        if match is None or name not in _DIRECTIVES or not value:
            break
        if match[1]:
            raise UnclearLine(line.number, f"has the directive {name} behind spaces: begin the line with '#'")
        if name in lines_of:
            raise UnclearLine(line.number, f"has the directive {name} a second time: only one can count")
        if name == "escape":
            if value not in {"\\", "`"}:
                raise UnclearLine(line.number, "must have a backslash or a backtick as the escape character")
            if shebang or "check" in lines_of:
                raise UnclearLine(line.number, "has the directive escape too late: move it to the first line")
            escape = value
        lines_of[name] = line
    return Directives(tuple((line, name) for name, line in lines_of.items()), escape)


def instructions(found: Sequence[Line], escape: str) -> Iterator[Instruction]:
    """Every instruction in order. Raises `UnclearLine`."""
    at = 0
    while at < len(found):
        bare = found[at].text.lstrip(words.SPACES)
        if not bare or bare.startswith("#"):
            at += 1
            continue
        instruction, at = _joined(found, at, escape)
        try:
            heredocs = _heredocs(instruction)
        except words.Unclear as unclear:
            raise UnclearLine(instruction.line, str(unclear)) from None
        for heredoc in heredocs:
            at = _after(heredoc, found, at, instruction)
        yield instruction


def _joined(found: Sequence[Line], at: int, escape: str) -> tuple[Instruction, int]:
    """The instruction that begins in this line, and the line after it. Comments and empty lines inside are skipped."""
    first = found[at]
    parts: list[str] = []
    pieces: list[tuple[int, int]] = []
    length = 0
    while at < len(found):
        line, at = found[at], at + 1
        bare = line.text.lstrip(words.SPACES)
        if pieces and (not bare or bare.startswith("#")):
            continue
        kept = line.text if pieces else bare
        pieces.append((length, line.start + len(line.text) - len(kept)))
        ended = kept.rstrip(" \t")
        if ended.endswith(escape * 2):
            raise UnclearLine(line.number, "ends in two escape characters: versions of BuildKit read that differently")
        parts.append(ended[:-1] if ended.endswith(escape) else kept)
        length += len(parts[-1])
        if not ended.endswith(escape):
            break
    text = "".join(parts).rstrip(words.SPACES)
    name, arguments = words.command(text, 0)
    if name not in _INSTRUCTIONS:
        raise UnclearLine(
            first.number, "does not begin with an instruction that Dockerfiles have: correct its first word"
        )
    return Instruction(first.number, name, text, arguments, tuple(pieces)), at


def _heredocs(instruction: Instruction) -> tuple[words.Heredoc, ...]:
    name, at = instruction.name, instruction.arguments
    if name == "onbuild" and "<<" in instruction.text:
        name, at = words.command(instruction.text, words.flags(instruction.text, at)[1])
    if name not in _WITH_HEREDOCS or "<<" not in instruction.text:
        return ()
    return words.heredocs(instruction.text, instruction.text[words.flags(instruction.text, at)[1] :])


def _after(heredoc: words.Heredoc, found: Sequence[Line], at: int, instruction: Instruction) -> int:
    """The line after the one that ends the here-document."""
    while at < len(found):
        line, at = found[at].text, at + 1
        if (line.lstrip("\t") if heredoc.indented else line) == heredoc.name:
            return at
    raise UnclearLine(instruction.line, "begins a here-document that never ends: put its end on a line of its own")
