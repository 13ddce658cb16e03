"""A controller that stays, beside one stack: started with the stack's settings, asked over its own HTTP.

The process and its log lines are those of `tests.fakes.daemons`; this adds what only a stack has, and the words in
which tests ask: deliver a webhook, what became of a run, a number of `/metrics`, what the process holds.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.harness import commands, docker, stacks, web
from tests.fakes import daemons, deliveries

_BODY = b'{"ref": "refs/heads/main"}'
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NUMBER = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Held:
    """What a process holds: bytes of memory, open descriptors, threads."""

    memory: int
    descriptors: int
    threads: int


class Following(daemons.Daemon):
    """A running `controller reconcile` that serves HTTP."""

    def __init__(self, controller: commands.Controller, *arguments: str | Path, env: Mapping[str, str]) -> None:
        settings = {"CONTROLLER_HTTP__LISTEN": "127.0.0.1:0", "CONTROLLER_HTTP__WEBHOOK_SECRET": deliveries.SECRET}
        environment = controller.environment(**{**settings, "CONTROLLER_INTERVAL": "1h", **env})
        super().__init__(*arguments, environment=environment, engine=True)

    def again(self) -> None:
        """Start anew after the end of the last process."""
        self.lines.clear()
        self.begin()

    def await_ready(self) -> None:
        """Return once it serves HTTP and its first pass is over, however that ended."""
        self.await_line(lambda line: line["event"] == "ready")
        self.await_pass()

    @property
    def http(self) -> web.Client:
        """Where it answers."""
        return web.Client(int(self.address.rpartition(":")[2]))

    def deliver(self) -> str:
        """A push event as GitHub sends it; the id of the run that will look."""
        answer = self.http.ask("POST", "/v1/webhook", body=_BODY.decode(), headers=deliveries.github(_BODY))
        if answer.status != 202:
            raise AssertionError(f"webhook: {answer}")
        return str(answer.json()["run"])

    def outcome(self, run: str) -> Mapping[str, Any]:
        """What became of a run; waits for its end, and for the line of the log that tells of its pass."""
        told: Mapping[str, Any] = self.http.get(f"/v1/runs/{run}?wait=true").json()
        if told["state"] != "ended":
            raise AssertionError(f"run {run} has not ended: {told}")
        found: Mapping[str, Any] = told["outcome"]
        if found["reason"] != "Unchanged":  # that was no pass
            self.await_line(lambda line: line["event"] == "pass" and line["run"] == run)
        return found

    def look(self) -> Mapping[str, Any]:
        """Deliver, and what became of it."""
        return self.outcome(self.deliver())

    def metric(self, name: str, **labels: str) -> float:
        """A number of `/metrics`, of the one target where it is of a target; 0 for a series that is not there yet."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for found in _NUMBER.finditer(self.http.get("/metrics").text):
            labelled = filter(None, (found["labels"] or "").split(","))
            there = {one for one in labelled if "target" in labels or not one.startswith("target=")}
            if found["name"] == f"artifact_controller_{name}" and there == wanted:
                return float(found["value"])
        return 0.0

    def held(self) -> Held:
        """What the process holds now."""
        place = Path("/proc", str(self.process.pid))
        pages = int((place / "statm").read_text(encoding="ascii").split()[1])
        return Held(pages * _PAGE, len(os.listdir(place / "fd")), len(os.listdir(place / "task")))


@contextlib.contextmanager
def following(
    controller: commands.Controller, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[Following]:
    """A daemon that is gone after the block, whatever happens; what it wrote is shown when the block fails."""
    daemon = Following(controller, *arguments, env=env or {})
    try:
        yield daemon
    except BaseException as problem:
        problem.add_note("\n".join(map(str, [*daemon.lines[-8:], *daemon.noise[-20:]])))
        raise
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.wait()


def commands_of(stack: stacks.Stack, *words: str) -> list[str]:
    """Command lines with all these words that run now on behalf of this stack: they name its registry or project."""
    ours = (stack.registry.address, stack.project)
    lines = docker.run(["ps", "-e", "-ww", "-o", "args"]).splitlines()
    return [line for line in lines if any(name in line for name in ours) and all(word in line for word in words)]


def provisioners(stack: stacks.Stack) -> list[str]:
    """The provisioner's containers of this stack, running or not."""
    project = f"label=com.docker.compose.project={stack.project}"
    service = "label=com.docker.compose.service=provisioner"
    return docker.docker("ps", "--all", "--quiet", "--filter", project, "--filter", service).split()


def told(line: Mapping[str, Any]) -> str:
    """Where the seconds of a pass went, in one line for whoever reads the test's output."""
    phases = ", ".join(f"{name} {seconds:.3f}" for name, seconds in line["phases"].items() if seconds >= 0.001)
    published = line.get("changed_to_published_s", "never")
    return f"{line['reason']}: changed to published {published} s, pass {line['seconds']} s ({phases})"
