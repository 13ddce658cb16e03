"""core is pure: no file, process, network, clock, randomness, environment or log (CONTRIBUTING.md, Layers).

import-linter reads the sources; here core is really imported, in a fresh interpreter in which none of its modules may
import what the contract `pure` of .importlinter forbids. pydantic, which core may use, is left alone.
"""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CORE = ROOT / "core"

# Prints one line for every refused import, and at last how many modules there were.
GUARDED = """
import builtins, importlib, pkgutil, sys

root, forbidden = sys.argv[1], frozenset(sys.argv[2].split(","))
unguarded = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__") or ""
    if level == 0 and importer.split(".")[0] == "core" and name.split(".")[0] in forbidden:
        raise ImportError(f"{importer} imports {name}")
    return unguarded(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
sys.path.insert(0, root)
names = ["core", *(found.name for found in pkgutil.walk_packages([f"{root}/core"], "core."))]
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(error)
print(len(names))
"""

# Builtins that reach out of the process, or around the imports.
REACHING_OUT = frozenset({"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"})

# posixpath is text arithmetic, except for the functions that ask the file system or the environment.
TEXTUAL = frozenset({"basename", "commonpath", "dirname", "isabs", "join", "normpath", "sep", "split", "splitext"})


def forbidden_modules() -> frozenset[str]:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    return frozenset(contracts["importlinter:contract:pure"]["forbidden_modules"].split())


def refused_imports(root: Path) -> list[str]:
    """The lines of GUARDED for the package `core` below `root`."""
    ended = subprocess.run(
        [sys.executable, "-I", "-B", "-c", GUARDED, str(root), ",".join(forbidden_modules())],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.splitlines()


def core_sources() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def test_the_contract_forbids_what_purity_is_about() -> None:
    """The list may grow; whoever shortens it has to say so here."""
    files, processes, network = {"os", "io", "pathlib", "shutil", "tempfile", "sqlite3"}, {"subprocess"}, {"socket"}
    clock, chance, log, threads = {"time", "datetime"}, {"random", "secrets"}, {"logging"}, {"threading", "asyncio"}
    around = {"importlib", "builtins", "sys"}
    assert files | processes | network | clock | chance | log | threads | around <= forbidden_modules()


def test_core_imports_with_the_world_blocked() -> None:
    """No module of core imports a forbidden one, also not inside a `try`, a condition or a module it generates."""
    assert refused_imports(ROOT) == [str(len(core_sources()))]


def test_the_block_catches_every_forbidden_module(tmp_path: Path) -> None:
    """Counter-check: planted modules are caught one by one, whichever way they import; harmless ones are not."""
    planted = tmp_path / "core"
    planted.mkdir()
    (planted / "__init__.py").write_text("import json, pydantic\n")
    (planted / "harmless.py").write_text("import re\nfrom core import beside\n")
    (planted / "beside.py").write_text("import dataclasses\n")
    (planted / "from_path.py").write_text("from os.path import exists\n")
    for name in forbidden_modules():
        (planted / f"with_{name}.py").write_text(f"import {name}\n")
    *caught, count = refused_imports(tmp_path)
    expected = {f"core.with_{name} imports {name}" for name in forbidden_modules()}
    assert set(caught) == expected | {"core.from_path imports os.path"}
    assert int(count) == len(list(planted.iterdir()))


@pytest.mark.parametrize("source", core_sources(), ids=lambda path: path.stem)
def test_core_calls_nothing_that_reaches_out(source: Path) -> None:
    """What needs no import is looked for in the text: files, consoles, generated code, the file system's paths."""
    assert list(reaching_out(ast.parse(source.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("text", ["open('x')", "print(1)", "eval('1')", "posixpath.realpath(x)", "posixpath.exists(x)"])
def test_reaching_out_is_noticed(text: str) -> None:
    """Counter-check of the test above."""
    assert list(reaching_out(ast.parse(f"def f(x):\n    return {text}\n"))) == [text.partition("(")[0]]


def reaching_out(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in REACHING_OUT:
            found.append(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "posixpath":
            found += [] if node.attr in TEXTUAL else [f"posixpath.{node.attr}"]
    return found
