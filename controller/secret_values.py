"""A secret setting that is given as it is, or in a file: exactly one of the two (faults.md P13).

The value is returned and nowhere shown; messages name the setting.
"""

from pathlib import Path
from typing import Protocol

from controller import errors


class Secret(Protocol):
    """A setting that does not show itself: pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        """What it hides."""


def read(value: Secret | None, file: Path | None, key: str) -> str | None:
    """The secret of the setting `key`, without space around it; None when neither it nor ``{key}_file`` is set.

    Raises `ControllerError("SettingsInvalid")` when both are, or when the file cannot be read or is empty.
    """
    if value is not None and file is not None:
        raise errors.ControllerError("SettingsInvalid", f"{key} and {key}_file are both set: remove one of them")
    if file is None:
        return None if value is None else value.get_secret_value().strip()
    try:
        found = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise errors.ControllerError("SettingsInvalid", f"{key}_file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise errors.ControllerError("SettingsInvalid", f"{key}_file {file}: is not UTF-8 text") from None
    if not found:
        raise errors.ControllerError("SettingsInvalid", f"{key}_file {file}: is empty")
    return found
