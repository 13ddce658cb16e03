"""K1 with a real engine: values that must not be seen, while passes succeed and fail in every way they can."""

import base64
import os
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.harness import artifacts, commands, converging, docker, stacks

CANARY = "k1-canary-Zr8/q=w"
"""In the secret file, in the environment, in compose's file and in a function's environment."""


@dataclass
class Watch:
    """Everything that was seen of command lines."""

    seen: set[bytes] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Every command line of every process, again and again."""
        while not self.over.wait(0.005):
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        self.seen.add(Path(f"/proc/{entry}/cmdline").read_bytes())
                    except OSError:
                        continue


@contextmanager
def watched() -> Iterator[Watch]:
    """Look at command lines while this stands."""
    watch = Watch()
    looking = threading.Thread(target=watch.look)
    looking.start()
    try:
        yield watch
    finally:
        watch.over.set()
        looking.join()


def forms() -> tuple[bytes, ...]:
    """The value as it is, and in the disguises in which it would leak."""
    whole = CANARY.encode()
    return whole, base64.b64encode(whole)[:-4], urllib.parse.quote(CANARY, safe="").encode(), whole[4:-2]


def test_k1_no_secret_is_seen_anywhere(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact
) -> None:
    """Output, command lines, the record, labels and history of images, the provisioner's container."""
    target = converging.Target(stack, controller, artifact)
    secrets = stack.folder / "secrets.env"
    secrets.write_text(f"E2E_SECRET={CANARY}\n", encoding="utf-8")
    stack.configure(UNUSED_SECRET=CANARY)
    text = artifact.manifest.read_text(encoding="utf-8")
    entry = "    runtime_config_dir: config\n"
    artifact.manifest.write_text(text.replace(entry, f"{entry}    required_secret_env: [E2E_SECRET, E2E_OTHER]\n", 1))
    functions = artifact.document("api", "functions.yml")
    functions.write_text(functions.read_text(encoding="utf-8").replace("good day", CANARY), encoding="utf-8")
    environment = {"E2E_OTHER": CANARY, "REGISTRY_PASSWORD": CANARY}
    options = ("--secret-env", str(secrets), "-v")
    said: list[str] = []

    def run(code: int, **more: str) -> None:
        for output in ("text", "json"):
            arguments = ("reconcile", "--once", *target.options, *options, "--output", output)
            ended = controller.run(*arguments, env={**environment, **more}, expect=None)
            said.extend((ended.out, ended.err))
            assert ended.code in (code, 0), ended.err

    started = time.monotonic()
    with watched() as watch:
        run(69, DOCKER_HOST=f"tcp://user:{CANARY.replace('/', '')}@127.0.0.1:1")
        run(0)
        stack.configure(PROVISIONER_FAIL="3")
        resources = artifact.document("api", "resources.yml")
        resources.write_text(resources.read_text(encoding="utf-8").replace("e2e-orders", "e2e-k1"))
        run(81)
        stack.configure(PROVISIONER_FAIL="")
        (artifact.function("hello") / "Dockerfile").write_text("FROM registry:5010/esb-lambda-base\nRUN exit 3\n")
        run(80)
    assert time.monotonic() > started
    assert len(watch.seen) > 20, "nothing was watched"
    seen = {
        "output": "\n".join(said).encode(),
        "command lines": b"\n".join(watch.seen),
        "record": b"".join(file.read_bytes() for file in (stack.config_dir / ".controller").iterdir()),
        "images": docker.docker("image", "inspect", *ours(stack)).encode(),
        "history": "".join(docker.docker("history", "--no-trunc", image) for image in ours(stack)).encode(),
    }
    assert {place: form for place, content in seen.items() for form in forms() if form in content} == {}


def ours(stack: stacks.Stack) -> list[str]:
    """Every image that was built for this stack."""
    listed = docker.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{stack.registry.address}/*")
    return [name for name in listed.split() if "<none>" not in name]
