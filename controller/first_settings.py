"""The first controller.yml of a target: what a folder shows of it, and writing it so that it is right or not there.

Used by `controller init`. Looks at names only, runs nothing, and asks nobody. An existing file is never lost: a new one
takes its place as a whole, and only when that is wanted.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from controller import candidate, errors, settings, settings_text
from controller.sources import directory

_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""In the order in which compose itself looks for them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder shows: where artifacts are, "" for nowhere; every manifest relative to that; a compose file."""

    source: str = ""
    manifests: tuple[str, ...] = ()
    compose_file: str = ""


def look(folder: Path) -> Found:
    """Look for manifests below a folder, and for a compose file in it. What cannot be read is not found."""
    compose = next((name for name in _COMPOSE_FILES if (folder / name).is_file()), "")
    paths: tuple[str, ...] = ()
    with suppress(errors.ControllerError):
        paths = tuple(one.path for one in directory.discover(folder) if not one.unreadable)
    if not paths:
        return Found(compose_file=compose)
    only, _, name = paths[0].rpartition("/")
    if len(paths) == 1 and only and "/" not in only:  # deeper ones may name artifacts outside of their own folder
        return Found(only, (name,), compose)
    return Found(".", paths, compose)


def write(answers: settings_text.Answers) -> str:
    """The text of the file. Raises `ControllerError("SettingsInvalid")` for answers that are no settings."""
    settings.load(None, answers)
    return settings_text.write(answers)


def save(text: str, place: Path, *, replace: bool) -> None:
    """Put the text there, once it was loaded as the settings that it will be. Raises `ControllerError`:
    "SettingsInvalid", and "Unwritable" also where something is there and is not to be replaced."""
    try:
        with _beside(text, place) as new:
            candidate.require((settings.load(new, {}),))
            if replace:
                os.replace(new, place)
            else:
                os.link(new, place)
    except OSError as error:
        raise errors.ControllerError("Unwritable", f"{place}: {error.strerror}") from None


@contextmanager
def _beside(text: str, place: Path) -> Iterator[Path]:
    """The text in a file in the same folder, where relative paths begin; gone afterwards."""
    new = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with open(new, "x", encoding="utf-8") as stream:
            stream.write(text)
        yield new
    finally:
        new.unlink(missing_ok=True)
