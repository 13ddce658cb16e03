"""Two stacks on one host, kept by one controller: each follows its own source, and what is wrong with one never holds
up the other (faults.md C2), neither does the end of one wait for that of the other (P16)."""

import functools
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.harness import artifacts, commands, daemon, docker, engine_proxy, listening, marked, matrix, stacks
from tests.fakes import daemons, silent

_TARGET = """\
  {name}:
    config_dir: {config_dir}
    source: {{directory: {{path: {source}}}}}
    manifest: {{path: {manifest}}}
    stack:
      project: {project}
      compose_files: [{compose}]
      env_file: {env_file}
      config_dir_on_host: {config_dir}
    registry: {{runtime: "registry:5010", host: "{registry}"}}
"""


class Plain(commands.Controller):
    """The installed command, which is told everything by its settings file."""

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of one stack."""
        ours = ("CONTROLLER_", "CONTAINER_REGISTRY", "HOST_REGISTRY_ADDR", "CONFIG_DIR")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        return {**kept, **self.through, **more}


@dataclass(frozen=True)
class One:
    """A target: its stack, and the artifact that it follows."""

    name: str
    stack: stacks.Stack
    artifact: artifacts.Artifact

    @property
    def settings(self) -> str:
        """Its part of controller.yml."""
        return _TARGET.format(
            name=self.name,
            config_dir=self.stack.config_dir,
            source=self.artifact.source,
            manifest=self.artifact.manifest.relative_to(self.artifact.source),
            project=self.stack.project,
            compose=json.dumps(str(self.stack.files[0])),
            env_file=self.stack.env_file,
            registry=self.stack.registry.address,
        )

    def serves(self, text: str) -> bool:
        """Whether a request gets this, before time is over."""
        answer = self.stack.gateway.until(lambda answer: answer.text.strip() == text, "/hello")
        return answer.text.strip() == text


@pytest.fixture(scope="module")
def pair(
    stack: stacks.Stack, environment: matrix.Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[One, One]]:
    """Two targets with a running stack each."""
    folder = tmp_path_factory.mktemp("several")
    wanted = stacks.Stack(environment.name, folder / "stack", folder / "stack" / "config")
    folders = (str(stack.config_dir), str(wanted.config_dir))
    with stacks.running(wanted) as other, engine_proxy.before(*folders) as stack.engine:
        names = (("edge", stack), ("shop", other))
        edge, shop = (One(name, each, marked.small(environment, folder / name)) for name, each in names)
        yield edge, shop


@pytest.fixture
def settings(pair: tuple[One, One], tmp_path: Path) -> Path:
    """The controller.yml of both."""
    file = tmp_path / "controller.yml"
    file.write_text("interval: 1h\ntargets:\n" + "".join(one.settings for one in pair), encoding="utf-8")
    return file


def is_pass_of(line: daemons.Line, one: One) -> bool:
    """Whether a line of the log tells of a pass of this target."""
    return bool(line["event"] == "pass" and line["target"] == one.name)


def test_c2_a_poisoned_stack_never_holds_up_the_other(pair: tuple[One, One], settings: Path) -> None:
    """Both are served from nothing; then one is poisoned, the other goes on, and the first is mended by its source."""
    edge, shop = pair
    with daemon.following(Plain(edge.stack), "--config", settings) as controller:
        for one in pair:
            passed = controller.await_line(functools.partial(is_pass_of, one=one))
            assert passed["reason"] == "FirstPublish", passed
            assert one.serves("hello v1")
        good = shop.artifact.document("api", "functions.yml")
        text = good.read_text(encoding="utf-8")
        seen = len(controller.lines)
        good.write_text("functions: [\n", encoding="utf-8")
        controller.await_line(lambda line: is_pass_of(line, shop) and line["failed"], since=seen)
        seen = len(controller.lines)
        edge.artifact.code("hello", "echo edge goes on")
        line = controller.await_line(lambda line: is_pass_of(line, edge) and line["changed"], since=seen)
        print("edge:", daemon.told(line))
        assert edge.serves("edge goes on")
        assert shop.serves("hello v1"), "what was live stays live"
        listed = Plain(edge.stack).run("status", "--config", str(settings), "--output", "json")
        ready = {
            each["target"]: next(one["status"] for one in each["result"]["conditions"] if one["type"] == "Ready")
            for each in json.loads(listed.out)["targets"]
        }
        assert ready == {"edge": "True", "shop": "False"}
        seen = len(controller.lines)
        good.write_text(text, encoding="utf-8")
        shop.artifact.code("hello", "echo shop is back")
        controller.await_line(lambda line: is_pass_of(line, shop) and not line["failed"], since=seen)
        assert shop.serves("shop is back")
        assert controller.ends_well()


def test_c2_a_pass_of_one_waits_for_no_other_that_hangs(pair: tuple[One, One], tmp_path: Path) -> None:
    """`reconcile --once`, the first of which asks a remote that never answers: new code of the other one is built and
    served meanwhile."""
    edge, _ = pair
    edge.artifact.code("hello", "echo nobody waits")
    with silent.listening() as remote:
        file = tmp_path / "controller.yml"
        hangs = {
            "config_dir": str(tmp_path / "config"),
            "state_dir": str(tmp_path / "state"),
            "source": remote.source,
            "deadlines": {"git": "1h"},
        }
        file.write_text(f"targets:\n  slow: {json.dumps(hangs)}\n{edge.settings}", encoding="utf-8")
        with Plain(edge.stack).start("reconcile", "--once", "--config", str(file)) as process:
            try:
                remote.await_question()
                assert edge.serves("nobody waits")
                assert process.poll() is None, "the first one still waits"
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=daemons.PATIENCE_S)
            finally:
                process.kill()
        remote.await_end()
    assert process.returncode == 143, err
    assert [line for line in out.splitlines() if line.startswith("target ")] == ["target edge"]


SLEEP_S = 119
"""Of a build that never comes to its end here; the number tells its process from others."""


def builds() -> bool:
    """Whether the slow step of a build runs."""
    lines = docker.run(["ps", "-e", "-ww", "-o", "args"]).splitlines()
    return f"sleep {SLEEP_S}" in lines


def test_p16_an_end_cuts_the_build_of_one_and_waits_for_the_provisioner_of_the_other(
    pair: tuple[One, One], settings: Path
) -> None:
    """The provisioner comes to its own end after the build was ended, and what it made counts: the next start runs
    none."""
    edge, shop = pair
    with daemon.following(Plain(edge.stack), "--config", settings, env={"CONTROLLER_DRAIN": "60s"}) as controller:
        for one in pair:
            passed = controller.await_line(functools.partial(is_pass_of, one=one))
            assert not passed["failed"], passed
        dockerfile = edge.artifact.function("hello") / "Dockerfile"
        text = dockerfile.read_text(encoding="utf-8")
        dockerfile.write_text(f"{text}RUN --network=none sleep {SLEEP_S}\n", encoding="utf-8")
        daemons.until(builds)
        shop.stack.configure(PROVISIONER_SLEEP="15")
        with listening.to(shop.stack) as heard:
            marked.write(shop.artifact, mark=1, table=1)
            daemons.until(lambda: daemon.provisioners(shop.stack))
            controller.signal(signal.SIGTERM)
            daemons.until(lambda: not builds())
            assert daemon.provisioners(shop.stack), "it is waited for"
            assert controller.wait() == 143, "what follows the provisioner was not published"
            assert marked.shown(shop.stack.config_dir)[:1] == (0,)
            assert daemon.provisioners(shop.stack) == []
            dockerfile.write_text(text, encoding="utf-8")
            controller.again()
            for one in pair:
                passed = controller.await_line(functools.partial(is_pass_of, one=one))
                assert not passed["failed"], passed
            counted = heard.counted()
        assert (counted["container create provisioner"], counted["container kill provisioner"]) == (1, 0), counted
        assert marked.shown(shop.stack.config_dir) == marked.Marks(1, 1, 1, 1)
