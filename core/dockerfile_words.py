"""Words inside one instruction of a Dockerfile: its flags and here-documents, as BuildKit's lexer cuts them.

Used by `core.dockerfile_text` and `core.dockerfile`. Only what every version of BuildKit reads alike is read; the rest
is `Unclear` (libraries.md: refuse what cannot be read for certain). Knows nothing of lines and images, and no message
shows what stands in the file.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go takes for white space; Python has some control characters more."""

BREAKS = "\t\v\f\r "
"""What separates an instruction from its arguments, and the arguments of FROM."""

_QUOTES = re.compile(r"['\"\\]")
_GAP = re.compile(f"[{SPACES}]*")
_COMMAND = re.compile(f"([^{BREAKS}]*)[{BREAKS}]*")
_FLAG = re.compile(rf"--(?:[^{SPACES}'\"\\]|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\\.)*+(?![^{SPACES}])", re.DOTALL)
_BRACES = r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::[-+][A-Za-z0-9_./:@-]*)?\}"
_SHELL_WORD = re.compile(
    rf"(?:[^{SPACES}'\"\\$]|\\(?:.|\Z)|'[^']*'|{_BRACES}|\$(?!\{{)"
    rf'|"(?:[^"\\$]|\\.|{_BRACES}|\$(?!\{{))*")++',
    re.DOTALL,
)
_HEREDOC = re.compile(r"[0-9]*<<(-?)([^<]*)")
_HEREDOC_NAME = re.compile(r"[!#%&()*+,./0-9:;=>?@A-Z\[\]^_a-z{|}~-]+")


class Unclear(Exception):
    """What cannot be read for certain: a sentence about the instruction, with the way out."""


@dataclass(frozen=True, slots=True)
class Flag:
    """``--name=value`` behind an instruction's name; `start` is where the value begins in the instruction's text.

    `value` is None without an equals sign. `quoted` says that it is written with quotes or escapes, which are in it.
    """

    name: str
    value: str | None
    start: int
    quoted: bool


@dataclass(frozen=True, slots=True)
class Heredoc:
    """The word that ends a here-document; with `indented` (``<<-``), tabs in front of it are none of it."""

    name: str
    indented: bool


def after_spaces(text: str, at: int) -> int:
    """Where the next word begins, or the end of the text."""
    found = _GAP.match(text, at)
    return found.end() if found else at


def command(text: str, at: int) -> tuple[str, int]:
    """The name of the instruction that begins at `at`, in lower case, and where its arguments begin."""
    found = _COMMAND.match(text, after_spaces(text, at))
    return (found[1].lower(), found.end()) if found else ("", at)


def flags(text: str, at: int) -> tuple[tuple[Flag, ...], int]:
    """The flags that begin at `at`, and where the arguments begin. Raises `Unclear`."""
    found: list[Flag] = []
    while True:
        at = after_spaces(text, at)
        if not text.startswith("--", at):
            return tuple(found), at
        word = _FLAG.match(text, at)
        if word is None:
            raise Unclear("has a flag with a quote that is not closed")
        if not word.group().isascii():
            raise Unclear("has a flag that is not plain ASCII")
        at = word.end()
        name, equals, value = word.group()[2:].partition("=")
        if not word.group()[2:]:
            return tuple(found), at
        quoted = _QUOTES.search(word.group()) is not None
        if _QUOTES.search(name):
            raise Unclear("has a flag whose name is written with quotes or escapes: leave them out")
        found.append(Flag(name, value if equals else None, word.start() + 2 + len(name) + 1, quoted))


def without_quotes(text: str) -> str:
    """The text without all quotes and escapes: more than a lexer takes away, for asking what it could not say."""
    return _QUOTES.sub("", text)


def heredocs(text: str, arguments: str) -> tuple[Heredoc, ...]:
    """The here-documents of a RUN, COPY or ADD (or of one of them behind ONBUILD), in the order of their bodies.

    `text` is the whole instruction, `arguments` what follows its flags: a list in JSON has none. Raises `Unclear`.
    """
    if "<<" not in text or _is_json(arguments):
        return ()
    found = (_HEREDOC.fullmatch(word) for word in _shell_words(text))
    return tuple(_heredoc(match) for match in found if match is not None and _unquoted(match[2]))


def _is_json(arguments: str) -> bool:
    if not arguments.startswith("["):
        return False
    try:
        json.JSONDecoder().raw_decode(arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _shell_words(text: str) -> Iterator[str]:
    at = 0
    while True:
        at = after_spaces(text, at)
        if at == len(text):
            return
        word = _SHELL_WORD.match(text, at)
        if word is None or (word.end() < len(text) and text[word.end()] not in SPACES):
            raise Unclear("has '<<' beside a quote that is not closed, or beside '${': write it in a line of its own")
        yield word.group()
        at = word.end()


def _heredoc(match: re.Match[str]) -> Heredoc:
    name = _unquoted(match[2])
    if not _HEREDOC_NAME.fullmatch(name):
        raise Unclear("has a here-document whose end cannot be told for certain: use a plain word, EOF for example")
    return Heredoc(name, match[1] == "-")


def _unquoted(word: str) -> str:
    return re.sub(r"'([^']*)'|\"([^\"]*)\"|\\(.)", lambda found: "".join(part or "" for part in found.groups()), word)
