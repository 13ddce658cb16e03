"""Entry ids: contract.md section 3, to the letter.

Ids are compared with those that other tools wrote, so every step follows their text rules and not Python's: what
counts as white space, how a path is cleaned, where an extension begins, how a letter is lowered. Only text is looked
at; no file is.
"""

import hashlib
import re
from collections.abc import Mapping

from core import grammar

ID_PATTERN = re.compile(grammar.ENTRY_ID)

# Unicode's White_Space property. `str.strip()` would also cut U+001C to U+001F, which do not have it.
_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
    "\u202f\u205f\u3000"
)
_NOT_SLUG = re.compile("[^a-z0-9]+")


def entry_id(template_path: str, parameters: Mapping[str, str] | None = None, sha256: str | None = None) -> str:
    """The id of an entry: ``<slug>-<h8>``, always of the form `ID_PATTERN`.

    `template_path`, `parameters` and `sha256` are the recorded `source_template.path`, `.parameters`, `.sha256`, as
    written.
    """
    hashed = f"{reference(template_path)}\n{_parameters(parameters or {})}\n{_trimmed(sha256 or '')}"
    return f"{slug(template_path)}-{hashlib.sha256(hashed.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def id_of_root(artifact_root: str) -> str:
    """The id of an entry of the second generation that has no `source_template`: its `artifact_root` stands in the
    place of the template's path (contract.md section 2)."""
    return entry_id(artifact_root)


def reference(template_path: str) -> str:
    """`ref`: trimmed, `\\` to `/`, cleaned lexically. Case, and absolute or relative, are kept."""
    return clean_path(_trimmed(template_path).replace("\\", "/"))


def slug(template_path: str) -> str:
    """`slug`: the last element without its last extension, lowered, with everything but a-z and 0-9 folded to `-`.

    An extension begins at the last dot even when that is the first character, so `.hidden` and `..` give `template`.
    """
    last = _trimmed(template_path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem = last[: last.rfind(".")] if "." in last else last
    # One code point at a time: the whole-text rules for Greek sigma and dotted I would give other letters.
    lowered = "".join(character.lower()[0] for character in stem)
    return _NOT_SLUG.sub("-", lowered).strip("-") or "template"


def clean_path(path: str) -> str:
    """A `/`-separated path without `.`, without `..` where it can be resolved, and without repeated or trailing `/`.

    `..` at the start of a relative path stays, at the root it is dropped; nothing left gives `.` (or `/`).
    """
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not rooted:
            kept.append(part)
    return ("/" if rooted else "") + "/".join(kept) or "."


def _parameters(parameters: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={parameters[key]}" for key in sorted(parameters))


def _trimmed(text: str) -> str:
    return text.strip(_WHITE_SPACE)
