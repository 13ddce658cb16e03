"""Where a finding's file stands for whoever reads the answer: a path below the job's checkout, with slashes.

Knows the folders that jobs run in by the variables of their runners. Opens nothing; asks only whether a path exists.
"""

import os
import urllib.parse
from pathlib import PurePath

_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")
"""GitHub's and GitLab's variables for it."""


def checkout() -> str:
    """The folder of the job's checkout; the working directory where no runner names one that exists."""
    named = (os.environ.get(name, "") for name in _CHECKOUTS)
    return next((folder for folder in named if folder and os.path.isdir(folder)), os.getcwd())


def of(file: str, root: str) -> str:
    """The path of `file`, as typed by its user, relative to the checkout; absolute outside of it; "" for no file.

    `root` is the folder that it stands in, "" when that is not known.
    """
    if not file:
        return ""
    try:
        return _relative(file, root)
    except ValueError:  # no path holds a NUL or half of a character, and no file system can be asked about it
        return file


def _relative(file: str, root: str) -> str:
    below = os.path.normpath(os.path.join(root, file))
    # The settings' own file is named from the working directory, whatever the source is.
    place = below if os.path.lexists(below) or not os.path.lexists(file) else os.path.normpath(file)
    whole, top = os.path.abspath(place), os.path.abspath(checkout())
    for path, folder in ((whole, top), (os.path.realpath(whole), os.path.realpath(top))):
        if PurePath(path).is_relative_to(folder):
            return PurePath(path).relative_to(folder).as_posix()
    return PurePath(whole).as_posix()


def uri(path: str) -> str:
    """The same as a URI reference (RFC 3986): relative, or with ``file:`` when it is absolute."""
    quoted = urllib.parse.quote(_bytes(path), safe="/")
    return f"file://{quoted}" if path.startswith("/") else quoted


def _bytes(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode("utf-8", "backslashreplace")
