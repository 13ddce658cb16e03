"""What a pass that changes nothing loads: most of its time is its start. Counted, because seconds depend on the machine
(docs/performance.md)."""

import json
import subprocess
import sys

import pytest

from tests.fakes import command

PASS = """
import gc, json, sys
from controller import cli
try:
    cli.main()
except SystemExit as ended:
    code = ended.code
names = {name.partition(".")[0] for name in sys.modules if not name.startswith("_")}
ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("controller", "core", "manifests"))
print(json.dumps([code, sorted(names - sys.stdlib_module_names), ours, gc.get_freeze_count()]))
"""
SETTINGS = {"annotated_types", "dotenv", "pydantic", "pydantic_core", "pydantic_settings"}
TYPES = {"typing_extensions", "typing_inspection"}
OURS = {"controller", "core", "manifests"}
OF_A_CHANGE = {
    "controller.docker",
    "controller.image_builder",
    "controller.plan_text",
    "controller.registry",
    "controller.saved_plan",
    "controller.sources.git",
    "core.dockerfile",
    "core.document_models",
    "core.documents",
    "core.models",
    "manifests.build_context",
    "manifests.sync_ids",
    "manifests.yaml_text",
}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str], int]:
    """A second pass over one folder, as a process: the libraries, our modules, and what the collector leaves alone."""
    shop = command.Shop(tmp_path_factory.mktemp("start"))
    shop.published()
    ended = subprocess.run(
        [sys.executable, "-c", PASS, "reconcile", "--once", *shop.target],
        cwd=command.ROOT,
        env=command.child_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told, shown = ended.stdout.splitlines()
    assert told.startswith("nothing to do (InSync)")
    code, others, ours, frozen = json.loads(shown)
    assert code == 0
    return others, ours, frozen


def test_it_loads_only_the_libraries_of_command_line_and_settings(second: tuple[list[str], list[str], int]) -> None:
    """Nothing of YAML, docker, git, HTTP or a terminal."""
    assert set(second[0]) <= {"click"} | SETTINGS | TYPES | OURS


def test_it_loads_nothing_of_what_a_change_needs(second: tuple[list[str], list[str], int]) -> None:
    """Import where it is used what only a change needs; a new module of every pass is a reason to raise the number."""
    assert OF_A_CHANGE.isdisjoint(second[1]), sorted(OF_A_CHANGE.intersection(second[1]))
    assert len(second[1]) <= 130, second[1]


def test_it_ends_without_looking_through_what_it_holds(second: tuple[list[str], list[str], int]) -> None:
    """The interpreter collects once more when it ends, however the collector is set."""
    assert second[2] > 0
