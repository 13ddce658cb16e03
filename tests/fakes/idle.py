"""A process that makes thousands of passes of the real target over a real folder, on a simulated clock, and says what that
left behind (faults.md L5). Run as a child: what is measured is its own.

`python -m tests.fakes.idle SOURCE CONFIG_DIR PASSES EVERY` changes the source before each EVERY-th pass, never with 0. One
line of JSON after a tenth of the passes, and one after all.
"""

import gc
import io
import json
import os
import sys
import threading
from pathlib import Path

from controller import (
    cancellation,
    garbage,
    log,
    loop,
    metrics,
    pulse,
    settings,
    settings_sections,
    telling,
    turning,
    worker,
)
from core import requeue
from tests.fakes import loops

INTERVAL_S = 30.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Nowhere(io.StringIO):
    """Log lines are made, and not kept."""

    def write(self, text: str) -> int:
        return len(text)


class Idle:
    """The loop with everything that a daemon puts around it but its server and its watcher."""

    def __init__(self, source: Path, config: Path, passes: int, every: int) -> None:
        self._source, self._config = source, config
        self._passes, self._every = passes, every
        self._done = 0
        self._reasons: dict[str, int] = {}
        self._machine = loops.FakeClock()
        self._runs = loops.FakeRuns(self._machine)
        self._cuts = cancellation.Cancellation()
        self._log = log.Log(settings_sections.Log(), _Nowhere())
        who = telling.Who("default", "directory")
        self._told = telling.Telling(who, self._runs, self._log, metrics.Metrics().of("default"), None)

    def run(self) -> None:
        """All passes."""
        given = settings.load(None, {("source", "directory", "path"): self._source, ("config_dir",): self._config})
        machine = self._machine
        beats = pulse.Pulse(machine)  # type: ignore[arg-type]  # a clock by its methods, here and below
        works = worker.Worker(given, beats, self._cuts, machine=machine)  # type: ignore[arg-type]
        plumbing = turning.Plumbing(self._runs, beats, self._cuts, self._tell, garbage.Garbage().collect, machine)  # type: ignore[arg-type]
        rhythm = requeue.Rhythm(INTERVAL_S, lambda failures: INTERVAL_S, jitter=0.0)
        self._log.start()
        loop.Loop(works, rhythm, INTERVAL_S, plumbing).run()
        self._log.stop()

    def _tell(self, turn: turning.Turn) -> None:
        self._told(turn)
        self._runs.waits.clear()  # the double's own notes are no leak
        reason = str(turn.ended.report.reason) if turn.ended else ""
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        self._done += 1
        if self._done in (self._passes // 10, self._passes):
            gc.collect()
            print(json.dumps(self._measured()), flush=True)  # noqa: T201 - its output is what it is for
        if self._every and self._done % self._every == 0:
            self._change()
        if self._done == self._passes:
            self._cuts.stop(15)

    def _change(self) -> None:
        document = next(self._source.glob("*/config/functions.yml"))
        text = document.read_text(encoding="utf-8")
        old, new = ("timeout: 10", "timeout: 25") if "timeout: 10" in text else ("timeout: 25", "timeout: 10")
        document.write_text(text.replace(old, new), encoding="utf-8")

    def _measured(self) -> dict[str, object]:
        kept = [path.lstat() for path in self._config.rglob("*")]
        return {
            "passes": self._done,
            "reasons": self._reasons,
            "rss_bytes": int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE,
            "blocks": sys.getallocatedblocks(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "files": len(kept),
            "disk_bytes": sum(one.st_size for one in kept),
        }


if __name__ == "__main__":
    Idle(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])).run()
