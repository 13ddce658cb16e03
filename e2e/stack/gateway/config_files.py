"""The gateway's view of CONFIG_DIR: two files, each polled on its own and read with PyYAML (consumers.md GW1-GW7).

Owns when a file is read and what a failed reading leaves. Never writes.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Watched:
    """One file. `value` is what the last good reading gave; readers may keep the old one for one request."""

    def __init__(self, path: Path, parse: Callable[[Any], Any], empty: Any) -> None:
        self.path = path
        self.value = empty
        self._parse = parse
        self._seen = -1

    def poll(self) -> None:
        """GW2: read anew when the mtime in whole seconds is strictly greater. GW4: a failure uses that mtime up."""
        try:
            second = int(self.path.stat().st_mtime)
        except OSError:
            return
        if second <= self._seen:
            return
        self._seen = second
        try:
            self.value = self._parse(yaml.safe_load(self.path.read_text(encoding="utf-8")))
        except Exception as problem:  # noqa: BLE001 - whatever a file holds, the gateway goes on with what it has
            print(f"gateway: {self.path.name} not read: {type(problem).__name__}", flush=True)
            return
        print(f"gateway: {self.path.name} read, mtime {second}", flush=True)


def functions(document: Any) -> dict[str, dict[str, Any]]:
    """Functions by name, defaults merged below. GW5: an empty document means no functions. GW11: ${NAME} replaced."""
    document = _replaced(document or {})
    defaults = document.get("defaults") or {}
    merged: dict[str, dict[str, Any]] = {}
    for name, function in (document.get("functions") or {}).items():
        merged[name] = {**defaults, **function}
        for section in ("environment", "scaling"):
            merged[name][section] = {**(defaults.get(section) or {}), **(function.get(section) or {})}
    return merged


def routes(document: Any) -> list[Any]:
    """Routes in the order of the file, not looked at before a request needs them (GW8)."""
    return list((document or {}).get("routes") or [])


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: os.environ.get(found[1], ""), value)
    if isinstance(value, dict):
        return {key: _replaced(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each) for each in value]
    return value
