"""`make demo`: the whole job on the sample artifact, from nothing to a healed drift, with the commands printed.

Needs no Docker and no network. Works in a folder of its own that it removes afterwards.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "artifacts" / "shop"


def main() -> int:
    """Run every step; the first one that ends otherwise than told fails the demo."""
    with tempfile.TemporaryDirectory(prefix="artifact-controller-demo-") as folder:
        work = Path(folder)
        shutil.copytree(SAMPLE, work / "artifacts")
        steps(work)
    print("\nThat was the demo: published, changed, drifted, healed, rolled back.")
    return 0


def steps(work: Path) -> None:
    """The story. Each step is one command with the exit code that it must have."""
    functions = work / "artifacts" / "catalog" / "config" / "functions.yml"
    target = ["--source", "artifacts", "--config-dir", "config"]
    say("1. From nothing to a published CONFIG_DIR")
    run(work, ["reconcile", "--once", *target])
    show(work)
    say("2. Again: nothing to do, nothing written")
    run(work, ["reconcile", "--once", *target])
    say("3. A change in the source: one function, seen before it is applied")
    functions.write_text(functions.read_text().replace("timeout: 10", "timeout: 25"))
    run(work, ["diff", *target, "--detailed-exitcode"], expected=2)
    run(work, ["reconcile", "--once", *target])
    say("4. Somebody edits CONFIG_DIR by hand: drift, not a change")
    live = work / "config" / "functions.yml"
    live.write_text(live.read_text().replace("timeout: 25", "timeout: 999"))
    run(work, ["diff", *target, "--detailed-exitcode"], expected=2)
    run(work, ["reconcile", "--once", *target])
    say("5. Undo: the first revision becomes live again, and the bad one is held")
    run(work, ["rollback", "--config-dir", "config"])
    run(work, ["reconcile", "--once", *target], expected=77)
    run(work, ["status", "--config-dir", "config"])


def say(text: str) -> None:
    """A heading."""
    print(f"\n=== {text}", flush=True)


def run(work: Path, arguments: list[str], *, expected: int = 0) -> None:
    """Run one `controller` command line in the demo's folder."""
    print(f"$ controller {' '.join(arguments)}", flush=True)
    ended = subprocess.run([sys.executable, "-m", "controller.cli", *arguments], cwd=work, check=False)
    if ended.returncode != expected:
        sys.exit(f"expected exit code {expected}, got {ended.returncode}")


def show(work: Path) -> None:
    """What a consumer of CONFIG_DIR finds."""
    print("$ ls config", flush=True)
    for path in sorted((work / "config").iterdir()):
        if not path.name.startswith(".controller"):
            print(f"{path.name} -> {path.readlink()}" if path.is_symlink() else f"{path.name}/")


if __name__ == "__main__":
    sys.exit(main())
