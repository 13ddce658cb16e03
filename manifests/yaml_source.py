"""What has to be true of a YAML file's bytes before the scanner sees them, and of what follows its one document.

Used by `manifests.yaml_text` only. Owns encoding, forbidden characters, directives and places in text. Everything here
is linear in the size of the file, because the scanner is not for some of it (faults.md F2).
"""

import re
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"

_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"  # YAML 1.1, section 4.1
)
_DISPUTED_BREAK = re.compile("[\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"(?:[ \t]*+(?:#[^\r\n]*+)?+(?:\r\n|\r|\n))*+")
_BLANK_END = re.compile(
    r"(?:(?:\.\.\.(?=[ \t\r\n]|\Z))?+[ \t]*+(?:#[^\r\n]*+)?+(?:\r\n|\r|\n))*+"
    r"(?:\.\.\.(?=[ \t]|\Z))?+[ \t]*+(?:#[^\r\n]*+)?+"
)
_VERSION = re.compile(r"%YAML[ \t]+1\.[12][ \t]*+(?:#[^\r\n]*+)?(?=[\r\n])")


class Refused(Exception):
    """These bytes are not a document; says why and where: line and column from 1, 0 when there is no place."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def decode(content: bytes, *, max_bytes: int) -> str:
    """The text of a file, for the scanner; raises `Refused`.

    A UTF-8 byte order mark is dropped. A version directive becomes a comment of the same length, because the scanner
    knows 1.1 only and both versions are read alike here.
    """
    if len(content) > max_bytes:
        raise Refused(f"a file of more than {max_bytes} bytes")
    if content.startswith(_WIDE_MARKS):
        raise Refused("UTF-16 or UTF-32 text: save it as UTF-8", 1, 1)
    try:
        text = content.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode().removeprefix(BYTE_ORDER_MARK)
        raise Refused("a byte that is not UTF-8: save the file as UTF-8", *place(before, len(before))) from None
    if found := _FORBIDDEN.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise Refused(f"the character {code} is not allowed in YAML", *place(text, found.start()))
    if not text.isascii() and (found := _DISPUTED_BREAK.search(text)):
        code = f"U+{ord(found[0]):04X}"
        message = f"the character {code} ends a line in YAML 1.1 but not in 1.2: write it as an escape in double quotes"
        raise Refused(message, *place(text, found.start()))
    return _without_version(text)


def place(text: str, index: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character."""
    line, start = 1, 0
    for found in _LINE_BREAK.finditer(text, 0, index):
        line, start = line + 1, found.end()
    return line, index - start + 1


def refuse_rest(text: str, end: int) -> None:
    """Raise `Refused` when anything but comments follows the document that ends at character `end`."""
    found = _BLANK_END.match(text, end)
    index = end if found is None else found.end()
    if index < len(text):
        another = text.startswith(("---", "%"), index)
        message = "a second document: a file holds one" if another else "text after the end of the document"
        raise Refused(message, *place(text, index))


def _without_version(text: str) -> str:
    if "%" not in text:
        return text
    start = _end_of_blank_lines(text, 0)
    if found := _VERSION.match(text, start):
        text = f"{text[:start]}#{text[start + 1 :]}"
        start = _end_of_blank_lines(text, found.end())
    if text.startswith("%", start):
        raise Refused("a directive: only one %YAML 1.1 or %YAML 1.2 is understood", *place(text, start))
    return text


def _end_of_blank_lines(text: str, start: int) -> int:
    found = _BLANK_LINES.match(text, start)
    return start if found is None else found.end()
