"""`make bench`: the numbers of docs/performance.md, measured as whole processes on generated trees.

Prints a table and fails on nothing: seconds belong to people, not to assertions. Every case runs several times; the
table shows the fastest and the median. Memory is the peak resident set of the process, from the kernel.
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import engine
import loop
import sidecar
import trees

CONTROLLER = Path(sys.executable).with_name("controller")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds and mebibytes of the runs of one case."""

    case: str
    limit: str
    seconds: tuple[float, ...]
    peak_mib: float

    def row(self) -> str:
        """One row of the table."""
        fastest, median = min(self.seconds), statistics.median(self.seconds)
        return f"| {self.case} | {self.limit} | {fastest:.3f} s | {median:.3f} s | {self.peak_mib:.0f} MiB |"


def main() -> int:
    """Measure everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each case")
    parser.add_argument("--quick", action="store_true", help="small trees only")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artifact-controller-bench-") as folder:
        bench = Bench(Path(folder), chosen.runs)
        print("| case | must reach | fastest | median | peak memory |\n| --- | --- | --- | --- | --- |")
        for row in bench.rows(quick=chosen.quick):
            print(row, flush=True)
    print(
        "\nWith an engine:\n\n| case | must reach | fastest | median | peak memory |\n| --- | --- | --- | --- | --- |"
    )
    for row in engine.rows(chosen.runs):
        print(row, flush=True)
    print("\nIn a container beside the stack:\n\n| case | must reach | median | memory |\n| --- | --- | --- | --- |")
    for row in sidecar.rows(chosen.runs):
        print(row, flush=True)
    print("\nA controller that stays:\n\n| case | must reach | median | 95 % | memory |")
    print("| --- | --- | --- | --- | --- |")
    for row in loop.rows(chosen.runs, quick=chosen.quick):
        print(row, flush=True)
    return 0


@dataclass(frozen=True, slots=True)
class Bench:
    """The cases, in a folder of their own."""

    folder: Path
    runs: int

    def rows(self, *, quick: bool) -> list[str]:
        """Every row of the table, then the growth exponent."""
        rows = [self.time("`controller --version`", "60 ms", lambda: ["--version"]).row()]
        rows += [timing.row() for timing in self.tree(1, 11, "1 entry x 11 functions", ("0.35 s", "0.25 s", "-"))]
        thousand = self.tree(10, 100, "10 entries x 100 functions", ("0.6 s", "-", "-"))
        rows += [timing.row() for timing in thousand]
        if quick:
            return rows
        five = self.tree(50, 100, "50 entries x 100 functions", ("-", "-", "-"))
        twenty = self.tree(200, 100, "200 entries x 100 functions", ("5 s, 300 MiB", "0.35 s", "1.0 s"))
        rows += [timing.row() for timing in (*five, *twenty)]
        exponent = math.log(min(twenty[0].seconds) / min(thousand[0].seconds)) / math.log(20)
        rows.append(f"\nGrowth exponent, cold, 1,000 to 20,000 functions: {exponent:.2f} (must be <= 1.1)")
        rows.append(self.unchanged_writes_nothing())
        return rows

    def tree(self, entries: int, functions: int, name: str, limits: tuple[str, str, str]) -> list[Timing]:
        """Cold, unchanged and one-entry-changed runs over one tree."""
        source, config = self.folder / f"source-{entries}", self.folder / f"config-{entries}"
        trees.write(source, entries=entries, functions=functions)
        command = ["reconcile", "--once", "--source", str(source), "--config-dir", str(config)]

        def cold() -> list[str]:
            shutil.rmtree(config, ignore_errors=True)
            return command

        def changed() -> list[str]:
            trees.change_one(source)
            return command

        return [
            self.time(f"{name}, cold", limits[0], cold),
            self.time(f"{name}, unchanged", limits[1], lambda: command),
            self.time(f"{name}, one entry changed", limits[2], changed),
        ]

    def time(self, case: str, limit: str, prepare: Callable[[], list[str]]) -> Timing:
        """Run one case `runs` times; `prepare` gives the command line and is not timed."""
        measured = [_run(prepare()) for _ in range(self.runs)]
        return Timing(case, limit, tuple(seconds for seconds, _ in measured), max(peak for _, peak in measured))

    def unchanged_writes_nothing(self) -> str:
        """Modification times, inodes and sizes below both folders, before and after an unchanged run."""
        source, config = self.folder / "source-200", self.folder / "config-200"
        command = ["reconcile", "--once", "--source", str(source), "--config-dir", str(config)]
        _run(command)
        before = trees.snapshot(source), trees.snapshot(config)
        _run(command)
        same = before == (trees.snapshot(source), trees.snapshot(config))
        return f"Unchanged run over 20,000 functions: {'nothing' if same else 'SOMETHING'} written below either folder"


def _run(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of one process."""
    started = time.perf_counter()
    process = subprocess.Popen([str(CONTROLLER), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"controller {' '.join(arguments)} ended with {process.returncode}: {errors.decode()[-2000:]}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
