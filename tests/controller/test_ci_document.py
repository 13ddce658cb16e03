"""docs/ci.md: its block prints what it shows, and its snippets name inputs, jobs and hooks that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import command, console, pipelines, tools

DOCUMENT = command.ROOT / "docs" / "ci.md"


def snippets() -> list[Any]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def uses_of_the_action() -> list[dict[str, str]]:
    found = []
    for snippet in snippets():
        steps = snippet if isinstance(snippet, list) else snippet.get("jobs", {}).get("artifact", {}).get("steps", [])
        found += [step["with"] for step in steps if "artifact-controller" in step.get("uses", "")]
    return found


@pytest.mark.process
def test_the_block_prints_what_it_shows(tmp_path: Path) -> None:
    for tool in ("git", "sed"):
        tools.require(tool)
    folder = command.Shop(tmp_path / "work").folder
    environment = {**command.child_environment(), **pipelines.with_command(tmp_path / "tools")}
    console.assert_blocks(DOCUMENT.read_text(encoding="utf-8"), folder, environment)


def test_the_snippets_name_what_exists() -> None:
    inputs = set(pipelines.read(pipelines.ACTION)["inputs"])
    assert len(uses_of_the_action()) == 4
    for given in uses_of_the_action():
        assert set(given) <= inputs
    (gitlab,) = [one for one in snippets() if isinstance(one, dict) and "include" in one]
    assert (command.ROOT / gitlab["include"][0]["file"]).is_file()
    assert set(gitlab["variables"]) <= set(pipelines.read(pipelines.GITLAB)["variables"])
    (hooks,) = [one for one in snippets() if isinstance(one, dict) and "repos" in one]
    known = {hook["id"] for hook in pipelines.read(pipelines.HOOKS)}
    assert {hook["id"] for hook in hooks["repos"][0]["hooks"]} <= known


def test_every_input_of_the_action_is_described() -> None:
    action = pipelines.read(pipelines.ACTION)
    for each in (*action["inputs"].values(), *action["outputs"].values()):
        assert each["description"]
