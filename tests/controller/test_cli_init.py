"""`controller init`: what it writes is right, nothing is lost, and it asks only where somebody can answer."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from controller import settings, settings_text
from manifests import yaml_text
from tests.fakes import command, daemons


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> command.Shop:
    """The sample, in the folder where the command runs."""
    shop = command.Shop(tmp_path)
    monkeypatch.chdir(shop.folder)
    return shop


def written(place: str | Path = "controller.yml") -> dict[str, Any]:
    """What is set in it."""
    found = yaml_text.parse(Path(place).read_bytes()).value
    assert isinstance(found, dict)
    return found


def test_yes_takes_what_is_there_and_the_next_commands_work(shop: command.Shop) -> None:
    (shop.folder / "compose.yaml").write_text("services: {}\n")
    assert shop.run("init", "--yes").code == 0
    assert written() == {
        "source": {"directory": {"path": "artifacts"}},
        "config_dir": "config",
        "stack": {"compose_files": ["compose.yaml"]},
    }
    (shop.folder / "compose.yaml").unlink()
    assert shop.run("init", "--yes", "--force").code == 0
    assert shop.run("doctor", "--config", "controller.yml").code == 0
    assert shop.run("diff", "--config", "controller.yml").code == 0
    assert not [name for name in os.listdir() if name.startswith(".controller.yml")]


def test_flags_say_everything(shop: command.Shop) -> None:
    (shop.folder / "secret").write_text("0123456789abcdef")
    (shop.folder / "deploy").mkdir()
    ended = shop.run(
        "init", "--output", "deploy/c.yml", "--git", "ssh://git@example.org/shop.git", "--ref", "semver:^1", "--known-hosts",
        "/etc/ssh/known_hosts", "--config-dir", "config", "--state-dir", "state", "--compose-file", "a.yml", "--compose-file",
        "b.yml", "--project", "shop", "--env-file", "stack.env", "--registry", "registry:5010", "--registry-host",
        "127.0.0.1:5010", "--listen", ":8080", "--webhook-secret-file", "secret", "--manifest", "docker/artifact.yml",
    )  # fmt: skip
    assert ended.code == 0, ended.text
    git = {"url": "ssh://git@example.org/shop.git", "ref": "semver:^1", "known_hosts_file": "/etc/ssh/known_hosts"}
    assert written("deploy/c.yml") == {
        "source": {"git": git},
        "manifest": {"path": "docker/artifact.yml"},
        "config_dir": "../config",
        "state_dir": "../state",
        "stack": {"compose_files": ["../a.yml", "../b.yml"], "project": "shop", "env_file": "../stack.env"},
        "registry": {"runtime": "registry:5010", "host": "127.0.0.1:5010"},
        "http": {"listen": ":8080", "webhook_secret_file": "../secret"},
    }
    loaded = settings.load(Path("deploy/c.yml"), {})
    assert loaded.config_dir is not None
    assert loaded.config_dir.resolve() == shop.config


@pytest.mark.parametrize("flag", ["--source", "--git", "--config-dir", "--compose-file", "--output"])
def test_an_empty_flag_takes_nothing_that_was_found(shop: command.Shop, flag: str) -> None:
    """It is a variable of a shell that was not set."""
    ended = shop.run("init", "--yes", flag, "")
    assert (ended.code, f"{flag} must not be empty" in ended.err) == (64, True), ended.text
    assert not Path("controller.yml").exists()


def test_every_key_is_there_with_what_it_does(shop: command.Shop) -> None:
    assert shop.run("init", "--yes").code == 0
    lines = Path("controller.yml").read_text().splitlines()
    assert max(map(len, lines)) <= 120
    shown = [found[1] for line in lines if (found := re.match(r"[ #]*(\w+):(?: |$)", line))]
    for key in {path[-1] for path, _ in leaves()}:
        assert shown.count(key) >= sum(path[-1] == key for path, _ in leaves()), key
    assert [".".join(path) for path, about in leaves() if not about] == []


def leaves(model: Any = settings.Settings, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Every key of the settings with its description, sections left out."""
    found: list[tuple[tuple[str, ...], str]] = []
    for name, field in model.model_fields.items():
        path = (*above, name)
        section = next(iter(settings.sections(field.annotation)), None)
        if path not in settings.AMONG_SEVERAL:
            found += leaves(section, path) if section else [(path, field.description or "")]
    return found


def test_every_default_in_a_comment_is_the_default(shop: command.Shop) -> None:
    """With every `# ` taken away, the settings are the same. A repository would be a second source."""
    assert shop.run("init", "--yes").code == 0
    text = re.sub(r"^  # git:.*\n(?:  #   .*\n)+", "", Path("controller.yml").read_text(), flags=re.MULTILINE)
    body = text.partition("\n\n")[2]
    every = re.sub(r"^( *)# ( *)(?=(?:# |\w+:))", r"\1\2", body, flags=re.MULTILINE)
    Path("every.yml").write_text(every)
    assert "\nlog:  # " in every
    parsed = yaml_text.parse(every.encode()).value
    assert isinstance(parsed, dict)
    Path("every.yml").write_text(json.dumps(without_nothing(parsed)))
    assert settings.load(Path("every.yml"), {}) == settings.load(Path("controller.yml"), {})
    assert len(without_nothing(parsed)) > 15


def without_nothing(section: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that have no default to show."""
    kept = {key: without_nothing(value) if isinstance(value, dict) else value for key, value in section.items()}
    return {key: value for key, value in kept.items() if value is not None}


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ((), "--source or --git"),
        (("--source", "x"), "--config-dir"),
        (("--source", "x", "--git", "y"), "--source and --git"),
    ],
)
def test_64_without_a_terminal_nothing_is_guessed(shop: command.Shop, words: tuple[str, ...], flag: str) -> None:
    ended = shop.run("init", *words)
    assert (ended.code, flag in ended.err) == (64, True), ended.text
    assert not Path("controller.yml").exists()


def test_64_yes_invents_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command.run("init", "--yes")
    assert (ended.code, "--source or --git" in ended.err) == (64, True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(shop: command.Shop) -> None:
    Path("controller.yml").write_text("mine")
    ended = shop.run("init", "--yes")
    assert (ended.code, "--force" in ended.err) == (64, True)
    assert Path("controller.yml").read_text() == "mine"
    ended = shop.run("init", "--yes", "--force", "--listen", "nonsense")
    assert (ended.code, "http.listen" in ended.err) == (78, True), ended.text
    assert Path("controller.yml").read_text() == "mine", "what would not load takes no place"
    assert shop.run("init", "--yes", "--force").code == 0
    assert written()["config_dir"] == "config"


def test_1_a_place_that_cannot_be_written(shop: command.Shop) -> None:
    ended = shop.run("init", "--yes", "--output", "nowhere/c.yml", "--source", "artifacts")
    assert (ended.code, "failed (Unwritable)" in ended.err) == (1, True), ended.text


def test_to_stdout(shop: command.Shop) -> None:
    """Nothing but the file; nothing is written."""
    before = command.snapshot(shop.folder)
    ended = shop.run("init", "--yes", "--output", "-")
    assert (ended.code, ended.err) == (0, "")
    found = yaml_text.parse(ended.out.encode()).value
    assert found == {"source": {"directory": {"path": "artifacts"}}, "config_dir": "config"}
    assert command.snapshot(shop.folder) == before


def test_several_manifests_are_a_question(shop: command.Shop) -> None:
    for env in ("dev", "prod"):
        (shop.source / env).mkdir()
        (shop.source / env / "artifact.yml").write_text("project: shop\n")
    ended = shop.run("init", "--yes")
    assert (ended.code, "--manifest" in ended.err, "artifacts/prod/artifact.yml" in ended.err) == (64, True, True)
    assert shop.run("init", "--yes", "--manifest", "artifacts/artifact.yml").code == 0
    assert written()["source"] == {"directory": {"path": "."}}
    assert shop.run("doctor", "--config", "controller.yml").code == 0


@pytest.mark.parametrize("value", ["yes", "0x1F", "1:30", "a b", "#x", "- x", "~", "né", "a\tb", "1.0", "null", "x: y"])
def test_whatever_is_answered_is_read_back(value: str) -> None:
    text = settings_text.write({("manifest", "path"): value, ("stack", "compose_files"): [value, "b"]})
    found = yaml_text.parse(text.encode()).value
    assert isinstance(found, dict)
    assert (found["manifest"], found["stack"]) == ({"path": value}, {"compose_files": [value, "b"]})


class Typist:
    """Answers on a terminal: each question once it is there."""

    def __init__(self, *words: str) -> None:
        self._outer, inner = os.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            command.line(*words),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=command.child_environment({"TERM": "dumb"}),
        )
        os.close(inner)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.said += os.read(self._outer, 4096).decode()

    def answer(self, question: str, reply: str) -> None:
        """Wait for the question; answer it."""
        daemons.until(lambda: re.search(rf"{re.escape(question)}[^\n]*: $", self.said))
        os.write(self._outer, reply.encode())

    def end(self) -> int:
        code = self.process.wait(daemons.PATIENCE_S)
        self._listener.join(daemons.PATIENCE_S)
        os.close(self._outer)
        return code


@pytest.mark.process
def test_on_a_terminal_it_asks(shop: command.Shop) -> None:
    """What was found is offered; what a flag says is not asked; "none" leaves a thing out."""
    (shop.folder / "compose.yml").write_text("services: {}\n")
    typist = Typist("init", "--config-dir", "live")
    typist.answer("A folder of artifacts, or the URL of a git repository [artifacts]", "\n")
    typist.answer("Compose file of the stack [compose.yml]", "\n")
    typist.answer("Registry as the runtime pulls (HOST:PORT), if images are built here [none]", "registry:5010\n")
    typist.answer("The same registry as this host pushes [registry:5010]", "127.0.0.1:5010\n")
    typist.answer("Address for health, metrics and webhooks (HOST:PORT) [none]", "\n")
    assert typist.end() == 0, typist.said
    assert written() == {
        "source": {"directory": {"path": "artifacts"}},
        "config_dir": "live",
        "stack": {"compose_files": ["compose.yml"]},
        "registry": {"runtime": "registry:5010", "host": "127.0.0.1:5010"},
    }
    assert "CONFIG_DIR, which" not in typist.said


@pytest.mark.process
def test_on_a_terminal_a_repository_is_a_url(shop: command.Shop) -> None:
    typist = Typist("init")
    typist.answer("git repository [artifacts]", "https://example.org/shop.git\n")
    typist.answer("Branch, tag, commit or semver:RANGE [main]", "\n")
    typist.answer("CONFIG_DIR, which the gateway reads [config]", "\n")
    typist.answer("A folder for clone and record [state]", "\n")
    typist.answer("Compose file of the stack [none]", "\n")
    typist.answer("Address for health", "\n")
    assert typist.end() == 0, typist.said
    assert written()["source"] == {"git": {"url": "https://example.org/shop.git", "ref": "main"}}
    assert written()["state_dir"] == "state"


@pytest.mark.process
@pytest.mark.parametrize("interrupted", [False, True])
def test_who_leaves_without_an_answer_leaves_nothing(shop: command.Shop, interrupted: bool) -> None:
    """By the end of input, or by an interrupt."""
    typist = Typist("init")
    typist.answer("git repository [artifacts]", "" if interrupted else "\x04")
    if interrupted:
        typist.process.send_signal(signal.SIGINT)
    assert typist.end() == (130 if interrupted else 64), typist.said
    assert "Traceback" not in typist.said
    assert not Path("controller.yml").exists()
