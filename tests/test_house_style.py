"""The parts of the house style (CONTRIBUTING.md) that no linter knows, checked over the sources and tracked files."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "manifests", "controller")

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60

# Words that say nothing about what a thing is.
REFUSED_WORDS = frozenset(
    {"common", "do", "handle", "handler", "helper", "helpers", "info", "manager", "misc", "process", "util", "utils"}
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

# One letter of each stands in brackets, so that this file may be looked at as well.
INDEX_HOSTS = re.compile(r"p[y]pi\.org|python[h]osted|npm[j]s\.(?:org|com)|crates[.]io|deb[.]debian", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w.$}~-])/(?:work|root|home/\w+|Users/\w+)/")
LATER = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b|NotImplemented[E]rror|pragma: no[ ]cover")

UNTRACKED_FOLDERS = frozenset({".git", ".venv", ".engine", "__pycache__", "build", "dist"})


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def refused_words(names: list[str]) -> list[str]:
    """The names that contain a refused word, whether in snake_case or in CamelCase."""
    return [name for name in names if REFUSED_WORDS & {word.lower() for word in _WORD.findall(name)}]


def tracked_files() -> list[Path]:
    """What is, or would be, committed; without a repository (an unpacked archive) everything but what `make` makes."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        return [path for name in listed.stdout.split(b"\0") if name and (path := ROOT / os.fsdecode(name)).is_file()]
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [one for one in folders if is_kept(one)]
        found += [Path(folder) / name for name in names]
    return found


def is_kept(folder: str) -> bool:
    return folder not in UNTRACKED_FOLDERS and not folder.endswith("_cache") and folder != ".hypothesis"


@pytest.mark.parametrize("source", sources(), ids=name_of)
def test_a_module_is_short_says_what_it_is_and_names_things(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    tree = ast.parse(text)
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert ast.get_docstring(tree), "a module says what it owns, its place in the flow and what it must not do"
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert {one.name: length for one in functions(tree) if (length := lines_of(one)) > LONGEST_FUNCTION} == {}
    assert refused_words([source.stem, *classes, *(one.name for one in functions(tree))]) == []


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_refused_words_are_found_in_both_spellings() -> None:
    """Counter-check; a word inside another one is none."""
    assert refused_words(["StateManager", "do_it", "read", "_utils", "HTTPHandler", "undo", "information"]) == [
        "StateManager",
        "do_it",
        "_utils",
        "HTTPHandler",
    ]


@pytest.mark.parametrize("pattern", [INDEX_HOSTS, MACHINE_PATHS, LATER], ids=["index-hosts", "machine-paths", "later"])
def test_no_tracked_file_has(pattern: re.Pattern[str]) -> None:
    """No host of a package index, no path of one developer's machine, nothing put off."""
    found = {
        f"{name_of(path)}: {match.group()}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_bytes().decode("utf-8", "replace"))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (INDEX_HOSTS, "https://" + "py" + "pi.org/simple"),
        (INDEX_HOSTS, "files.python" + "hosted.org"),
        (MACHINE_PATHS, "see /home" + "/someone/notes"),
        (MACHINE_PATHS, '"/ro' + 'ot/.cache"'),
        (LATER, "# TO" + "DO: later"),
    ],
)
def test_the_patterns_match_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    """Counter-check."""
    assert pattern.search(text)


def test_modules_are_imported_not_names() -> None:
    """design: a name says where it comes from at the place of its use. State's one door for its neighbours is exempt."""
    wrong = []
    for source in sorted(
        path for package in ("core", "manifests", "controller") for path in (ROOT / package).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and "." in node.module:
                folder = ROOT / node.module.replace(".", "/")
                ours = node.module.split(".")[0] in ("core", "manifests", "controller")
                if ours and not folder.is_dir() and source.name != "state.py":
                    wrong.append(f"{source.relative_to(ROOT)}: from {node.module} import …")
    assert wrong == []
