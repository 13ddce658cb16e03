"""The situations that a publish may find, prepared once and copied for every run."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.crash import server as servers
from tests.crash import sweep
from tests.fakes import command

SETTLED_S = 0.2
WRITTEN_NS = 1_700_000_000_500_000_000
"""Not a whole second, as if an unpacked archive: such a file would have to be older before its time is believed."""
FILES_MODE = "policy: {publish: files}\n"
LEGACY = {
    "functions.yml": "functions:\n  legacy:\n    image: registry:5010/legacy:v1\n",
    "routing.yml": "routes:\n- path: /legacy\n  method: GET\n  function: legacy\n",
    "resources.yml": "resources: {}\n",
}


@dataclass(frozen=True)
class Scenario:
    """CONFIG_DIR before (`config`, to be copied), the run that changes it, and what consumers see before and after."""

    name: str
    config: Path
    source: Path
    settings: Path | None
    before: sweep.Documents
    after: sweep.Documents

    def copy(self, folder: Path) -> Path:
        """A fresh CONFIG_DIR in this situation."""
        config = folder / "config"
        shutil.rmtree(config, ignore_errors=True)
        shutil.copytree(self.config, config, symlinks=True)
        return config

    def run(self, config: Path, **more: object) -> servers.Run:
        """The run over `config`."""
        return servers.Run(arguments(self.source, config, self.settings), **more)  # type: ignore[arg-type]  # Run's own

    @property
    def whole(self) -> bool:
        """Whether the set changes as one; in `publish: files` only each file does."""
        return self.settings is None


def arguments(source: Path, config: Path, settings: Path | None = None, *more: str) -> tuple[str, ...]:
    """A command line of `reconcile`. Each version of the sample is a source of its own, so every change is a take-over
    too, which may be cut short like the rest (faults.md B8)."""
    given = ("--config", str(settings)) if settings is not None else ()
    target = ("--source", str(source), "--config-dir", str(config), "--take-over")
    return ("reconcile", "--once", *target, *given, *more)


def shop(folder: Path, version: str) -> Path:
    """A copy of the sample artifact in which every document says `version`."""
    shutil.copytree(servers.SHOP, folder)
    config = folder / "orders" / "config"
    for name, old in (("functions.yml", "orders-create:v1"), ("routing.yml", "/orders"), ("resources.yml", "orders")):
        text = (config / name).read_text(encoding="utf-8")
        new = f"orders-create:{version}" if name == "functions.yml" else f"{old}-{version}"
        assert old in text
        (config / name).write_text(text.replace(old, new), encoding="utf-8")
    for path in folder.rglob("*"):
        os.utime(path, ns=(WRITTEN_NS, WRITTEN_NS))
    return folder


class Prepared:
    """The scenarios by name, made when they are first asked for."""

    def __init__(self, server: servers.Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._made: dict[str, Scenario] = {}
        self.sources = {version: shop(folder / version, version) for version in ("v1", "v2", "v3")}
        self._files_mode = folder / "controller.yml"
        self._files_mode.write_text(FILES_MODE, encoding="utf-8")
        self._let_sources_settle()

    def get(self, name: str) -> Scenario:
        """The scenario `name`: a method below."""
        if name not in self._made:
            config = self._folder / name / "config"
            config.mkdir(parents=True)
            getattr(self, f"_{name}")(config)
            self._made[name] = self._scenario(name, config)
        return self._made[name]

    def _let_sources_settle(self) -> None:
        """A file that has just been written is not remembered by its time, so a run makes other calls. Passes fill the
        moment until then."""
        newest_s = max(path.stat().st_ctime for source in self.sources.values() for path in source.rglob("*"))
        while time.time() - newest_s < SETTLED_S:
            config = self._folder / "settling"
            config.mkdir()
            assert self._publish("v1", config) == 0
            shutil.rmtree(config)

    def _scenario(self, name: str, config: Path) -> Scenario:
        settings = self._files_mode if name.startswith("files") else None
        made = Scenario(name, config, self.sources["v3"], settings, command.documents(config), {})
        tried = made.copy(self._folder / name / "undisturbed")
        ended = self._server.run(made.run(tried))
        assert ended.code == 0, ended.err
        after = command.documents(tried)
        assert None not in after.values()
        return Scenario(name, config, made.source, settings, made.before, after)

    def _publish(self, version: str, config: Path, settings: Path | None = None, **variables: str) -> int:
        run = servers.Run(arguments(self.sources[version], config, settings), environment=dict(variables))
        return self._server.run(run).code

    def _first(self, config: Path) -> None:
        """Nothing there yet."""

    def _update(self, config: Path) -> None:
        """Two generations, so that the next one drops the first."""
        assert self._publish("v1", config) == 0
        assert self._publish("v2", config) == 0

    def _adopt(self, config: Path) -> None:
        """Plain files of an older applier, and no record."""
        write(config, LEGACY)

    def _files(self, config: Path) -> None:
        """`publish: files`, over its own files."""
        assert self._publish("v1", config, self._files_mode) == 0

    def _files_layout(self, config: Path) -> None:
        """`publish: files`, over the links and generations of the other mode."""
        assert self._publish("v1", config) == 0

    def _confirm(self, config: Path) -> None:
        """What is wanted is visible, and the record is lost."""
        assert self._publish("v3", config) == 0
        shutil.rmtree(config / ".controller")

    def _cut_off(self, config: Path) -> None:
        """A publish that ended between its switch and the sync of it, with a generation left to drop."""
        self._update(config)
        assert self._publish("v3", config, FAILPOINT="sync-switch:kill") == -9

    def _cut_short(self, config: Path) -> None:
        """A publish that ended before its switch."""
        self._update(config)
        assert self._publish("v3", config, FAILPOINT="switch:kill") == -9


def write(config: Path, texts: Mapping[str, str]) -> None:
    """Plain files."""
    for name, text in texts.items():
        (config / name).write_text(text, encoding="utf-8")


def healing(server: servers.Server, run: servers.Run, config: Path, after: sweep.Documents) -> list[str]:
    """What is wrong with the run after the fault, and the one after that: faults.md A1, promise P3."""
    wrong = []
    healed = server.run(run)
    if healed.code != 0:
        wrong.append(f"the next run ended with {healed.code}: {healed.err[-500:]}")
    if command.documents(config) != after:
        wrong.append("the next run does not show the wanted set")
    left = sweep.leftovers(config)
    if left == [sweep.LOCK] and healed.code == 0 and "nothing to do" in healed.out:
        left = _lock_in_the_way(server, run, config)
    if left:
        wrong.append(f"left behind: {left}")
    idle = server.run(run)
    if idle.code != 0 or "nothing to do" not in idle.out:
        wrong.append(f"the second run is not idle: {idle.code} {idle.out} {idle.err[-500:]}")
    return wrong


def _lock_in_the_way(server: servers.Server, run: servers.Run, config: Path) -> list[str]:
    """Removing the lock file may itself have failed, after everything else was done. It must not hold anybody up: the
    next action takes it over without waiting, and removes it."""
    (config / "..data_tmp").symlink_to("..gen-000000")  # something to sweep
    again = server.run(servers.Run((*run.arguments, "--wait", "0")))
    return sweep.leftovers(config) if again.code == 0 else [f"{sweep.LOCK}: {again.err}"]


def failing(ended: servers.Ended, config: Path, after: sweep.Documents) -> list[str]:
    """What is wrong with how a run met an error that it was given: silence, a bug, a nameless step."""
    wrong = []
    if "Traceback" in ended.err or ended.code == 70:
        wrong.append(f"a bug: {ended.err[-1500:]}")
    if ended.code < 0:
        wrong.append(f"died of signal {-ended.code}")
    if ended.code == 0 and command.documents(config) != after:
        wrong.append("exit 0, and the wanted set is not visible")
    if ended.code > 0 and ("failed (" not in ended.err or "hint: " not in ended.err):
        wrong.append(f"exit {ended.code} without a sentence: {ended.err!r}")
    if "(PublishFailed)" in ended.err and ": step " not in ended.err:
        wrong.append(f"no step named: {ended.err!r}")
    return wrong
