"""One poisoned target among ten (faults.md C2): every parser killer of F2 in turn, as the manifest of another one each
time.
"""

import itertools
import json
from pathlib import Path

import pytest

from tests.fakes import command
from tests.manifests import test_yaml_hostile

NAMES = tuple(f"t{number}" for number in range(10))
POISONS = dict(zip(test_yaml_hostile.REFUSED, itertools.cycle(NAMES), strict=False))


class Ten:
    """Ten targets; nine follow one folder, and the tenth another one whose manifest is poison."""

    def __init__(self, folder: Path, poisoned: str) -> None:
        self.file = folder / "controller.yml"
        self.poisoned = poisoned
        self.good, self.bad = (command.Shop(self._made(folder / name)) for name in ("good", "bad"))
        targets = {
            name: {
                "config_dir": f"config-{name}",
                "source": {"directory": {"path": str((self.bad if name == poisoned else self.good).source)}},
            }
            for name in NAMES
        }
        self.file.write_text(json.dumps({"targets": targets}), encoding="utf-8")

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir()
        return folder

    def reasons(self) -> tuple[int, dict[str, str]]:
        """The exit code of a run, and how it ended for each."""
        ended = command.run("reconcile", "--once", "--config", self.file, "--output", "json")
        return ended.code, {row["target"]: row["result"]["reason"] for row in ended.json["targets"]}


@pytest.mark.parametrize("name", POISONS)
def test_c2_every_parser_killer_in_one_of_ten_is_an_error_of_that_one(tmp_path: Path, name: str) -> None:
    """The other nine are published in the same run; cured, it is published by the next, and they have nothing to do."""
    ten = Ten(tmp_path, POISONS[name])
    healthy = ten.bad.manifest.read_bytes()
    ten.bad.manifest.write_bytes(test_yaml_hostile.REFUSED[name][0])
    others = set(NAMES) - {ten.poisoned}
    assert ten.reasons() == (65, {**dict.fromkeys(others, "FirstPublish"), ten.poisoned: "ArtifactInvalid"})
    ten.bad.manifest.write_bytes(healthy)
    assert ten.reasons() == (0, {**dict.fromkeys(others, "InSync"), ten.poisoned: "FirstPublish"})
