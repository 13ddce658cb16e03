"""The host of a sidecar is switched off and on: the engine, with everything that it runs (faults.md A3).

Not the engine of the tests, which others use, but one on a host of its own (`e2e/harness/host.py`)."""

import os
import time
from pathlib import Path

import pytest

from e2e.harness import docker, host, marked, matrix, sidecar, stacks, watch
from e2e.scripts import build_stack, engine

RESTARTING = """\
services:
  registry: {restart: unless-stopped, stop_grace_period: 0s}
  moto: {restart: unless-stopped, stop_grace_period: 0s}
  gateway: {restart: unless-stopped, stop_grace_period: 0s}
"""
"""The sidecar has a policy of its own, and time to stop."""
FILES = ("compose.yml", "compose.base.yml", "compose.restart.yml", "compose.controller.yml")
BUILT, PUSHED, PROVISIONED = "image tag", "image push", "container create provisioner"


@pytest.fixture
def images(environment: matrix.Environment) -> tuple[str, ...]:
    """Whatever the stack and its sidecar run, built before: the host has no packages to build them from."""
    lacking = host.missing()
    if lacking:
        refuse = pytest.fail if os.environ.get("REQUIRE_ENGINE") else pytest.skip
        refuse(f"environment reboot is unavailable: {lacking}")
    stacks.build_images(stacks.TAG, environment.name)
    made = build_stack.images(stacks.TAG, environment.name, engine.PROJECT / ".engine")
    return (*(one.reference for one in made), sidecar.image())


def test_the_host_is_switched_off_and_on(
    environment: matrix.Environment, images: tuple[str, ...], tmp_path: Path
) -> None:
    """A3: after a power cut nothing is built, pushed or run again, and the functions are served. What was put into the
    source while the host was off is served soon after it is on. Nobody types anything."""
    host.on(lambda: scene(environment, images, tmp_path))


def scene(environment: matrix.Environment, images: tuple[str, ...], folder: Path) -> None:
    """The test, in the network of the host."""
    artifact = marked.small(environment, folder / "site" / "deploy")
    with host.made(images) as machine:
        settings = {"COMPOSE_FILE": ":".join(FILES)}
        source = f"{{directory: {{path: {folder}/site/deploy}}}}"
        site = sidecar.Site("docker", folder / "site", folder / "site" / "config", source=source, settings=settings)
        (site.folder / "compose.restart.yml").write_text(RESTARTING, encoding="utf-8")
        with sidecar.standing(site):
            site.up()
            assert site.await_pass(sidecar.settled)["reason"] == "FirstPublish"
            assert answers(site, "hello v1") == "hello v1"
            history, before = site.controller("history"), watch.documents(site.config_dir)

            machine.cut_power()
            since = watch.now()
            machine.switch_on()
            line = site.await_pass(sidecar.settled)
            assert (line["reason"], line["changed"]) == ("InSync", False)
            assert answers(site, "hello v1") == "hello v1"
            assert site.controller("history") == history
            assert watch.documents(site.config_dir) == before
            seen = watch.events(site, since)
            assert [seen[what] for what in (BUILT, PUSHED, PROVISIONED)] == [0, 0, 0], seen

            # they do not heed the engine's signal, which would then wait for ten seconds
            docker.docker("kill", *(f"{site.project}-fn-{name}" for name in site.workers()))
            machine.shut_down()
            assert not machine.layout.socket.exists()
            artifact.code("hello", "echo while it was off")
            since = watch.now()
            begun = time.monotonic()
            machine.switch_on()
            line = site.await_pass(lambda one: one["changed"])
            assert (line["reason"], line["images_built"]) == ("SourceChanged", 1)
            assert answers(site, "while it was off") == "while it was off"
            print(f"from switching on to the new answer: {time.monotonic() - begun:.1f} s")
            seen = watch.events(site, since)
            assert [seen[what] for what in (BUILT, PUSHED, PROVISIONED)] == [1, 1, 0], seen


def answers(site: stacks.Stack, text: str) -> str:
    """What a request to the function gets, once it is this text or time is over; at first nobody may listen."""
    end = time.monotonic() + sidecar.PATIENCE_S
    while True:
        try:
            return site.gateway.until(lambda answer: answer.text.strip() == text, "/hello", seconds=30).text.strip()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
