"""Workers as containers of containerd, with `ctr`: no Docker between the registry and the function.

Owns the `ctr` command lines. Images are pulled under the name that the files give them, from a registry that speaks
plain HTTP. A worker shares the gateway's network namespace and listens on a port of its own there.
"""

import json
import os
import socket
import subprocess

from e2e.stack.gateway import engine_runtime, workers

SPEC = "esb.spec"
PORT = "esb.port"


class ContainerdRuntime:
    """Containers in a containerd namespace of the project's name."""

    def __init__(self, engine: engine_runtime.EngineRuntime) -> None:
        self._engine = engine

    def find(self, name: str) -> workers.Worker | None:
        """See workers.Runtime."""
        if not any(line.split()[0::2] == [name, "RUNNING"] for line in _ctr("tasks", "list").splitlines()):
            return None
        labels = json.loads(_ctr("containers", "info", name))["Labels"]
        return workers.Worker(labels[SPEC], "127.0.0.1", int(labels[PORT]))

    def start(self, wanted: workers.Wanted) -> workers.Worker:
        """See workers.Runtime."""
        if wanted.image not in _ctr("images", "list", "--quiet").splitlines():
            _ctr("images", "pull", "--plain-http", wanted.image)
        self._remove(wanted.name)
        port = _free_port()
        network = f"network:/proc/{self._engine.itself()['State']['Pid']}/ns/net"
        flags = ["--detach", "--null-io", "--with-ns", network]
        flags += ["--label", f"{SPEC}={wanted.spec}", "--label", f"{PORT}={port}"]
        for key, value in {**wanted.environment, "PORT": str(port)}.items():
            flags += ["--env", f"{key}={value}"]
        _ctr("run", *flags, wanted.image, wanted.name)
        return workers.Worker(wanted.spec, "127.0.0.1", port)

    def _remove(self, name: str) -> None:
        if name in _ctr("containers", "list", "--quiet").splitlines():
            if any(line.split()[0] == name for line in _ctr("tasks", "list").splitlines()):
                _ctr("tasks", "delete", "--force", name)
            _ctr("containers", "delete", name)


def _ctr(*arguments: str) -> str:
    command = ["ctr", "--address", "/run/containerd/containerd.sock", "--namespace", os.environ["PROJECT"], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise workers.Unavailable(f"ctr {arguments[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as asked:
        return int(asked.getsockname()[1])
