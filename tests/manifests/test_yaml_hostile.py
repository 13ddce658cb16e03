"""Parser killers: faults.md F2. Each ends in problems or a value, the process alive, within 200 MB and without a hang.

The cases run once more as children of one process (`python <this file>`), each under limits on memory and processor
time that the kernel enforces: a crash, a hang or a flood kills the child and fails the test.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from manifests import yaml_text

MIB = 1024 * 1024
MAX_MEMORY = 200 * MIB
MAX_CPU_S = 10
"""Far above what any case takes: only something of quadratic or worse cost gets there."""


def _bomb(entry: str, body: str) -> bytes:
    """Each level names the one before nine times."""
    lines = [entry]
    for level in range(20):
        before = ", ".join([f"*a{level}"] * 9)
        lines.append(f"a{level + 1}: &a{level + 1} " + body.replace("@", before))
    return "\n".join(lines).encode()


def _many(line: bytes, count: int) -> bytes:
    return b"".join(line.replace(b"#", b"%d" % number) for number in range(count))


REFUSED: dict[str, tuple[bytes, str]] = {
    "alias bomb": (_bomb("a0: &a0 [x]", "[@]"), "written out"),
    "merge bomb": (_bomb("a0: &a0 {x: 1}", "{<<: [@]}"), "written out"),
    "merge bomb of 555 bytes": (_bomb("a0: &a0 {x: 1}", "{<<: [@]}")[:555].rsplit(b"\n", 1)[0], "written out"),
    "aliases of a long text": (b"a: &a " + b"x" * MIB + b"\nb: [" + b"*a, " * 100 + b"]", "written out"),
    "open brackets": (b"[" * 200_000, "nested"),
    "open braces": (b"{a: " * 200_000, "nested"),
    "dashes": (b"- " * 200_000, "nested"),
    "question marks": (b"? " * 200_000, "nested"),
    "indents": (b"".join(b" " * n + b"a:\n" for n in range(2000)), "nested"),
    "depth through aliases": (
        b"a: &a " + b"[" * 40 + b"]" * 40 + b"\nb: " + b"[" * 40 + b"*a" + b"]" * 40, "through an alias"),
    "cyclic alias": (b"a: &a [*a]", "inside its own anchor"),
    "cyclic merge": (b"a: &a {<<: *a}", "inside its own anchor"),
    "5,000 digits": (b"a: " + b"9" * 5000, "more than 64"),
    "8 MiB of digits": (b"a: " + b"9" * (8 * MIB - 10), "more than 64"),
    "8 MiB of base 60": (b"a: 1" + b":1" * (4 * MIB - 10), "more than 64"),
    "8 MiB of bits": (b"a: 0b" + b"1" * (8 * MIB - 10), "more than 64"),
    "tags": (b"- !x y\n" * 500_000, "tag"),
    "a tag that runs code": (b"!!python/object/apply:os.system [true]", "tag"),
    "a long tag": (b"!<" + b"a" * (8 * MIB - 5), "not YAML"),
    "UTF-16": ("a: b\n".encode("utf-16"), "UTF-16"),
    "UTF-16 without its mark": ("a: b\n".encode("utf-16-le"), "U+0000"),
    "UTF-32": ("a: b\n".encode("utf-32"), "UTF-16 or UTF-32"),
    "NUL": (b"a: b\n" * 100_000 + b"\0", "U+0000"),
    "a lone surrogate": (b"a: \xed\xa0\x80", "not UTF-8"),
    "an escaped lone surrogate": (b'a: "\\ud800"', "not YAML"),
    "100 MB": (b"a" * 100 * MIB, "more than 8388608 bytes"),
    "a million keys": (_many(b"#:\n", 1_000_000)[: 8 * MIB], "keys are text"),
    "a million text keys": (_many(b"k#:\n", 900_000)[: 8 * MIB], "keys and values"),
    "a million values": (b"[" + b"a," * (4 * MIB - 1) + b"]", "keys and values"),
    "a million lists": (b"[" + b"[]," * (2 * MIB) + b"]", "keys and values"),
    "a million aliases": (b"a: &a x\nb: [" + b"*a," * 2_000_000 + b"]", "keys and values"),
    "a million anchors": (_many(b"- &a# b\n", 600_000)[: 8 * MIB], "anchors"),
    "a million duplicates": (b"a: 1\n" * 1_000_000, "duplicate"),
    "a million documents": (b"---\n" * 1_000_000, "second document"),
    "version directives": (b"%YAML 1.1\n" * 500_000, "directive"),
    "tag directives": (_many(b"%TAG !a#! x\n", 400_000), "directive"),
    "tag directives at the end": (b"a: b\n...\n" + _many(b"%TAG !a#! x\n", 400_000), "second document"),
    "tag directives in the middle": (b"a: b\n" + _many(b"%TAG !a#! x\n", 400_000), "second document"),
    "tabs": (b"\t" * MIB + b"a: b", "tab"),
    "a tab for indenting": (b"a:\n\tb: c\n", "tab"),
    "an open quote": (b'"' + b"\n" * (8 * MIB - 1), "not YAML"),
    "quotes": (b"'" * (8 * MIB - 1), "not YAML"),
    "colons": (b":" * (8 * MIB), "not YAML"),
    "commas": (b"[" + b"," * (8 * MIB - 1), "not YAML"),
    "exclamation marks": (b"!" * (8 * MIB), "tag"),
    "open pairs": (b"?\n" * (4 * MIB), "keys are text"),
    "merging a list of texts": (b"a: {<<: [x, y]}", "<<"),
    "a merge of big mappings": (
        b"a: &a {" + b",".join(b"k%d: 1" % n for n in range(1000)) + b"}\nb:\n" + b"- {<<: *a}\n" * 3000, "written out"),
}  # fmt: skip

ACCEPTED: dict[str, bytes] = {
    "a byte order mark": b"\xef\xbb\xbfa: b\n",
    "a bad date": b"a: 2026-99-99\n",
    "line feeds": b"\n" * (8 * MIB),
    "carriage returns": b"\r" * (8 * MIB),
    "comments": b"#\n" * (4 * MIB),
    "spaces": b" " * (8 * MIB),
    "document ends": b"a: b\n" + b"...\n" * (2 * MIB - 2),
    "a long text": b'"' + b"a" * (8 * MIB - 2) + b'"',
    "escapes": b'"' + b"\\n" * (4 * MIB - 1) + b'"',
    "a folded text": b"a: >\n" + b" x\n" * (2 * MIB),
    "a plain text on many lines": b"a" + b"\n b" * (2 * MIB),
    "a long anchor": b"&" + b"a" * (8 * MIB - 3) + b" b",
    "400,000 values": b"[" + b"a," * 400_000 + b"]",
}


@pytest.mark.parametrize("name", REFUSED)
def test_f2_refused(name: str) -> None:
    content, words = REFUSED[name]
    parsed = yaml_text.parse(content, file="f.yml")
    assert words in parsed.problems[0].message
    assert len(parsed.problems) <= 101


@pytest.mark.parametrize("name", ACCEPTED)
def test_f2_odd_but_harmless(name: str) -> None:
    assert yaml_text.parse(ACCEPTED[name]).problems == ()


def test_f2_no_crash_no_hang_no_flood() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, __file__],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    ends = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert ends == dict.fromkeys([*REFUSED, *ACCEPTED], "0")


def _run_limited(content: bytes) -> None:
    """In a child of its own: `MAX_MEMORY` beyond what is in use already, and `MAX_CPU_S`."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY, used + MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    yaml_text.parse(content)


def _main() -> None:
    contents = {name: content for name, (content, _) in REFUSED.items()} | ACCEPTED
    for name, content in contents.items():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _run_limited(content)
                status = 0
            finally:
                os._exit(status)
        sys.stdout.write(f"{name} {os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
