"""A strict stand-in for what reads CONFIG_DIR: the gateway and the provisioner, row by row of consumers.md.

Where a real consumer would raise, ignore the rest of a file, or do something nobody asked for, this one raises. Reads
texts with PyYAML's safe loader (GW15) and knows nothing of the code under test.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_REFERENCE = re.compile(r"\$\{([^}]*)(\}?)")
_SPECIAL = set(".^$*+?{}[]\\|()")
_SECTIONS = {"dynamodb": "TableName", "s3": "BucketName", "layers": "Name"}


class RefusedError(Exception):
    """What a real consumer would have choked on."""


UNUSABLE = (RefusedError, yaml.YAMLError, re.error, OSError, LookupError, TypeError, ValueError, AttributeError)
"""Whatever a document can make a consumer raise."""


class Gateway:
    """One gateway that has loaded both its files. `environment` is its own, for `${NAME}`."""

    def __init__(self, functions: str, routing: str, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.defaults, self.functions = self._load_functions(functions)
        self.routes = _load_routes(routing)

    def resolve(self, method: str, path: str) -> str | None:
        """The function that a request is answered by: the first route that matches, or None."""
        for pattern, wanted, function in self.routes:
            if wanted == method and pattern.match(path):
                return function
        return None

    def start(self, name: str) -> dict[str, Any]:
        """What a request to the function makes of its settings; the checks that happen only then (GW10)."""
        function = self.functions[name]
        environment = {**self.defaults.get("environment", {}), **function.get("environment", {})}
        scaling = {**self.defaults.get("scaling", {}), **function.get("scaling", {})}
        _start_environment(environment)
        for key in ("min_capacity", "max_capacity"):
            _number(scaling.get(key, 1), least=0, whole=True)
        for key in ("idle_timeout", "acquire_timeout"):
            _number(scaling.get(key, 1), least=math.ulp(0.0))
        for key in ("timeout", "memory_size"):
            _number(function.get(key, 1), least=1, whole=True)
        for event in function.get("events", []):
            _mapping(event, "event")
        _image(function["image"])
        return {"environment": environment, "scaling": scaling}

    def _load_functions(self, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if not text:
            return {}, {}  # GW5: nothing is written, so there are no functions, and nobody is told
        document = self._expanded(_mapping(_parsed(text), "functions.yml"))
        defaults = _mapping(document.get("defaults", {}), "defaults")
        functions = _mapping(document["functions"], "functions")
        for name, function in functions.items():
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
                raise RefusedError("a function's name")
            _mapping(function, "function")
        return defaults, functions

    def _expanded(self, value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(self._replaced, value)
        if isinstance(value, dict):
            return {self._expanded(key): self._expanded(child) for key, child in value.items()}
        return [self._expanded(child) for child in value] if isinstance(value, list) else value

    def _replaced(self, found: re.Match[str]) -> str:
        if not found.group(2) or found.group(1) not in self._environment:
            raise RefusedError("a ${NAME} that would show the gateway's own environment")  # GW11
        return self._environment[found.group(1)]


def provision(text: str) -> dict[str, list[str]]:
    """What the provisioner makes of resources.yml: the names of each section (PR1)."""
    document = _mapping(_parsed(text), "resources.yml")
    resources = _mapping(document["resources"], "resources")
    names: dict[str, list[str]] = {}
    for section, listed in resources.items():
        names[section] = [_mapping(item, "resource")[_SECTIONS[section]] for item in _list(listed)]
        if not all(names[section]) or {str} != {type(name) for name in names[section]} | {str}:
            raise RefusedError("a resource's name")
    return names


class Watcher:
    """The gateway's reload of one file, by GW2 and GW4 to the letter.

    `load` is given the file's text and raises when it cannot use it. `poll` is one turn of the poll loop.
    """

    def __init__(self, path: Path, load: Callable[[str], object]) -> None:
        self._path = path
        self._load = load
        self.failures = 0
        self.loaded: object = None
        # GW12: a file that is not there when the gateway starts is never watched.
        self._watching = path.is_file()
        self._seen_s = -1
        self.poll()

    def poll(self) -> bool:
        """Whether the file was noticed as changed and loaded."""
        if not self._watching:
            return False
        try:
            mtime_s = int(self._path.stat().st_mtime)
        except OSError:
            return False
        if mtime_s <= self._seen_s:
            return False
        self._seen_s = mtime_s  # before loading: a failed reload consumes the mtime
        try:
            self.loaded = self._load(self._path.read_text(encoding="utf-8"))
        except UNUSABLE:  # the old registry stays
            self.failures += 1
            return False
        return True


def _parsed(text: str) -> Any:
    loader = LOADER(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _load_routes(text: str) -> list[tuple[re.Pattern[str], str, str]]:
    document = _mapping(_parsed(text) if text else {}, "routing.yml")
    routes = []
    for route in _list(document.get("routes", [])):
        path, method, function = _mapping(route, "route")["path"], route.get("method", ""), route["function"]
        rest = re.sub(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", "", path)
        if not path.startswith("/") or _SPECIAL & set(rest):
            raise RefusedError("a path that means something else as a regular expression")  # GW8, GW9
        if not function or not isinstance(function, str):
            raise RefusedError("a route to nothing")
        if method and not method.isalpha():
            raise RefusedError("a method")
        pattern = re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + r"\Z")
        routes.append((pattern, method.upper() or "GET", function))
    return routes


def _start_environment(environment: dict[Any, Any]) -> None:
    for key, value in environment.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise RefusedError("an environment that is not text")  # GW10
        if not key or "=" in key or "\0" in key + value:
            raise RefusedError("an environment that no process can be given")
        (key + value).encode("utf-8")


def _image(image: Any) -> None:
    if not isinstance(image, str) or not re.fullmatch(r"[A-Za-z0-9\[][A-Za-z0-9_.:/@\[\]-]*", image):
        raise RefusedError("an image that no engine pulls")


def _number(value: Any, *, least: float, whole: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise RefusedError("not a number")
    if not least <= value < math.inf:
        raise RefusedError("a number out of range")
    float(value)


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise RefusedError(f"{what} is not a mapping")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RefusedError("not a list")
    return value
