"""The stages of a Dockerfile, walked in order: which names are stages, which are images, and what becomes of them.

Used by `core.dockerfile`, which gives it the instructions one by one and the rule that rewrites an image's name. Owns
the variables that FROM may use. What is wrong with one instruction does not hide what is wrong with the next.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core import dockerfile_text, dockerfile_variables, references
from core import dockerfile_words as words

_SCRATCH = "scratch"
_STAGE = re.compile(r"[a-z][a-z0-9_.-]*")
_INDEX = re.compile(r"[+-]?[0-9]{1,18}")
_WORD = re.compile(rf"[^{words.BREAKS}]+")


@dataclass(frozen=True, slots=True)
class Edit:
    """``text[start:end]`` of the file becomes `text`."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Stages:
    """What was found up to the last instruction that was taken.

    `arguments` are the build arguments, `rewritten` says what an image's reference becomes, or raises `Unclear`, and
    `names` are the names of all stages of the file. `count` is the number of stages so far, `bases` are the images by
    their full reference, and `wrong` holds lines with sentences.
    """

    arguments: Mapping[str, str]
    rewritten: Callable[[str], references.Reference]
    names: frozenset[str]
    count: int = 0
    bases: dict[str, str] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    _earlier: dict[str, int] = field(default_factory=dict)
    _values: dict[str, str | words.Unclear | None] = field(default_factory=dict)

    def take(self, instruction: dockerfile_text.Instruction) -> None:
        """Read the next instruction."""
        try:
            match instruction.name:
                case "from":
                    self._from(instruction)
                case "arg" if not self.count:
                    self._declare(instruction.text[instruction.arguments :])
                case _ if not self.count:
                    raise words.Unclear("stands before the first FROM, where only ARG may: move it below")
                case "copy" | "run":
                    for start, name in _others(instruction.name, instruction.text, instruction.arguments):
                        self._other(instruction, start, name)
                case "onbuild":
                    self._onbuild(instruction)
                case _:
                    pass
        except words.Unclear as unclear:
            self.wrong.append((instruction.line, f"{instruction.name.upper()} {unclear}"))

    def _from(self, instruction: dockerfile_text.Instruction) -> None:
        self.count += 1
        name = stage_name(instruction)
        try:
            base = _base(instruction)
            value = dockerfile_variables.expand(base.group(), self._values)
            if value != _SCRATCH and value.lower() not in self._earlier:
                value = self._image(value)
            self._write(instruction, base.span(), value)
        finally:
            if name:
                self._earlier[name] = self.count - 1

    def _declare(self, arguments: str) -> None:
        for name, default in dockerfile_variables.declared(arguments):
            if name in self.arguments:
                self._values[name] = self.arguments[name]
            elif default is not None:
                self._values[name] = self._default(default)
            else:
                again = words.Unclear(f"has the variable {name}, whose second ARG has no value")
                self._values[name] = again if name in self._values else None

    def _default(self, default: str) -> str | words.Unclear:
        """What cannot be told is only wrong once a FROM uses it."""
        try:
            return dockerfile_variables.expand(default, self._values)
        except words.Unclear as unclear:
            return words.Unclear(str(unclear))  # without the places it came from, which a later one would keep too

    def _other(self, instruction: dockerfile_text.Instruction, start: int, name: str) -> None:
        """A name behind COPY --from or RUN --mount: an earlier stage or an image."""
        if "$" in name:
            raise words.Unclear("has a variable in 'from', where none is replaced: name a stage that is FROM it")
        if self._earlier.get(name.lower(), self.count) < self.count - 1:
            return
        if name.lower() in self.names:
            raise words.Unclear("has a 'from' that names a stage which is not before this one")
        self._write(instruction, (start, start + len(name)), self._image(name))

    def _onbuild(self, instruction: dockerfile_text.Instruction) -> None:
        """It is done in another build, where stages have other names and nothing is rewritten."""
        trigger, at = words.command(instruction.text, words.flags(instruction.text, instruction.arguments)[1])
        if any(True for _ in _others(trigger, instruction.text, at)):
            raise words.Unclear("has a 'from': what it names cannot be told before another image is built on this one")

    def _image(self, name: str) -> str:
        found = self.rewritten(name)
        self.bases.setdefault(found.full, str(found))
        return str(found)

    def _write(self, instruction: dockerfile_text.Instruction, span: tuple[int, int], text: str) -> None:
        if instruction.text[slice(*span)] == text:
            return
        place = instruction.place(*span)
        if place is None:
            raise words.Unclear("has a name that is written over several lines: write it in one")
        self.edits.append(Edit(*place, text))


def stage_name(instruction: dockerfile_text.Instruction) -> str:
    """The name that a FROM gives its stage, in lower case; "" when it gives none."""
    found = instruction.text[instruction.arguments :].split()
    return found[-1].lower() if len(found) > 2 and found[-2].lower() == "as" else ""


def _base(instruction: dockerfile_text.Instruction) -> re.Match[str]:
    """The word of a FROM that says what it starts from. `Unclear` for any other form than BuildKit takes."""
    at = words.flags(instruction.text, instruction.arguments)[1]
    found = tuple(_WORD.finditer(instruction.text, at))
    named = len(found) == 3 and found[1].group().lower() == "as"
    if len(found) != 1 and not named:
        raise words.Unclear("must have the form FROM [--platform=…] image [AS name]")
    stage = found[2].group().lower() if named else "a"
    if not _STAGE.fullmatch(stage) or stage == _SCRATCH:
        raise words.Unclear(
            "must have a stage name of a-z, 0-9, '_', '.', '-' that begins with a letter, not 'scratch'"
        )
    return found[0]


def _others(command: str, text: str, at: int) -> Iterator[tuple[int, str]]:
    """Where other stages and images are named in the flags of COPY and RUN, and how; numbers of stages are left out."""
    if command not in {"copy", "run"}:
        return
    for flag in words.flags(text, at)[0]:
        for start, name in _from_of_copy(flag) if command == "copy" else _from_of_mount(flag):
            if name and name != _SCRATCH and not _INDEX.fullmatch(name):
                yield start, name


def _from_of_copy(flag: words.Flag) -> Sequence[tuple[int, str]]:
    if flag.name != "from":
        return ()
    if flag.value is None or flag.quoted:
        raise words.Unclear("must have the form --from=name, without quotes")
    return ((flag.start, flag.value),)


def _from_of_mount(flag: words.Flag) -> Iterator[tuple[int, str]]:
    if flag.name != "mount" or flag.value is None:
        return
    if flag.quoted and "from" in words.without_quotes(flag.value).lower():
        raise words.Unclear("must have --mount without quotes where it has a 'from'")
    start = flag.start
    for part in flag.value.split(","):
        key, _, name = part.partition("=")
        if key.lower() == "from":
            yield start + len(part) - len(name), name
        start += len(part) + 1
