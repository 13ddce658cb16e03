"""The documents say what is: every exit code, every fault with its tests, and every command of the README run."""

import dataclasses
import io
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from controller import (
    cancellation,
    errors,
    log,
    metrics,
    pulse,
    report,
    runs,
    settings,
    settings_sections,
    telling,
    timing,
    turning,
    worker,
)
from tests.fakes import command, console, pipelines, tools

DOCS = command.ROOT / "docs"

FAULTS = (
    *(f"A{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)),
    *(f"B{number}" for number in range(1, 9)),
    *(f"C{number}" for number in range(1, 8)),
    *(f"D{number}" for number in range(1, 7)),
    *(f"E{number}" for number in range(1, 9)),
    *(f"F{number}" for number in range(1, 8)),
    *("G1", "G4"),
    *(f"H{number}" for number in range(1, 13)),
    *(f"I{number}" for number in range(1, 8)),
    *("K1", "K2", "K3"),
    *("L1", "L2", "L3", "L4", "L5", "L6", "L7"),
    *("P11", "P12"),
)
"""The rows of faults.md that this version promises."""


def rows(document: Path) -> list[list[str]]:
    """The cells of every row of every table; heads and rules left out."""
    lines = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if set(row[0]) - set("- ")]


def test_every_reason_and_its_exit_code_is_documented() -> None:
    told = {tuple(row) for row in rows(DOCS / "exit-codes.md") if row[0].isdigit()}
    wanted = {
        (str(meaning.exit_code), reason, str(meaning.disposition), meaning.hint)
        for reason, meaning in errors.MEANINGS.items()
    }
    assert told == wanted


def faults() -> dict[str, list[str]]:
    """The rows of docs/reliability.md by their id."""
    return {row[0]: row for row in rows(DOCS / "reliability.md") if re.fullmatch(r"[A-Z][0-9]+", row[0])}


def references(text: str) -> list[tuple[str, str]]:
    """Each `tests/…::test_name` and `e2e/…::test_name`."""
    return re.findall(r"`((?:tests|e2e)/[\w/]+\.py)::(test_\w+)`", text)


def test_every_promised_fault_has_a_row() -> None:
    assert list(faults()) == list(FAULTS)


def require_tests(cell: str) -> None:
    """Every test that the cell of a table names is there."""
    found = references(cell)
    assert found
    assert cell.count("::") == len(found), "a reference that cannot be read"
    for path, name in found:
        source = (command.ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*def {name}\(", source, re.MULTILINE), (path, name)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_names_tests_that_exist(fault: str) -> None:
    _, promise, tests, injected = faults()[fault]
    assert promise
    assert injected
    require_tests(tests)


def security_claims() -> list[tuple[str, str]]:
    """The claims of docs/security.md with the cells of their tests; heads of tables left out."""
    return [(row[0], row[1]) for row in rows(DOCS / "security.md") if row[1] != "tests"]


@pytest.mark.parametrize(("claim", "tests"), security_claims(), ids=lambda text: text[:40])
def test_every_security_claim_names_tests_that_exist(claim: str, tests: str) -> None:
    require_tests(tests)


def told_of(ended: turning.Ended | None) -> set[str]:
    """The keys of a run's outcome."""
    asked = runs.Runs()
    lines, counts = log.Log(settings_sections.Log(), io.StringIO()), metrics.Metrics().of("default")
    told = telling.Telling(telling.Who("default", "git"), asked, lines, counts, None)
    with asked.begun(runs.Cause.START) as run:
        reaction_s = 0.1 if ended and ended.published_s else None
        told(turning.Turn(run, ended, took_s=1.0, next_s=30.0, reaction_s=reaction_s))
    kept = asked.find(run.id)
    assert kept is not None
    return set(kept.outcome)


def test_every_key_of_a_run_s_outcome_is_documented(tmp_path: Path) -> None:
    shop = command.Shop(tmp_path)
    given = settings.load(None, {("config_dir",): shop.config, ("source", "directory", "path"): shop.source})
    published = worker.Worker(given, pulse.Pulse(), cancellation.Cancellation()).converge()
    failed = turning.Ended(report.Report("RegistryUnavailable", "it is away"))
    found = {
        "always": told_of(None),
        "a pass": told_of(turning.Ended(report.Report("InSync", "fine"))),
        "a git source": told_of(dataclasses.replace(published, commit="a" * 40, published_s=None)),
        "failed": told_of(failed),
        "planned": told_of(dataclasses.replace(published, published_s=None)),
        "published": told_of(published),
    }
    table = console.section((DOCS / "json.md").read_text(encoding="utf-8"), "The outcome of a run")
    documented: dict[str, set[str]] = {}
    for keys, when in re.findall(r"^\| (`.*?) \| [\w ]+ \| ([\w ]+) \|", table, re.MULTILINE):
        documented.setdefault(when, set()).update(re.findall(r"`(\w+)`", keys))
    assert found["always"] == documented["always"]
    assert found["a pass"] - found["always"] == documented["a pass"]
    assert found["failed"] - found["a pass"] == documented["failed"]
    assert found["planned"] - found["a pass"] == documented["planned"]
    assert found["published"] - found["planned"] == documented["published"]
    assert found["a git source"] - found["planned"] == documented["a git source"]
    assert set(documented) == set(found)


def test_every_cause_of_a_run_and_every_phase_is_documented() -> None:
    table = console.section((DOCS / "json.md").read_text(encoding="utf-8"), "The outcome of a run")
    (causes,) = re.findall(r"^\| `causes` .*$", table, re.MULTILINE)
    (phases,) = re.findall(r"^\| `phases` .*$", table, re.MULTILINE)
    assert re.findall(r"`(\w+)`", causes)[1:] == list(runs.Cause)
    assert re.findall(r"`(\w+)`", phases)[1:] == list(timing.PHASES)


@pytest.mark.process
def test_every_block_of_the_readme_prints_what_it_shows(tmp_path: Path) -> None:
    """All console blocks, in order, in one folder that holds the sample as `artifacts/`; e2e/test_readme.py runs those
    that want a stack."""
    for tool in ("curl", "git", "openssl", "ssh-keygen"):
        tools.require(tool)
    text = (command.ROOT / "README.md").read_text(encoding="utf-8")
    folder = command.Shop(tmp_path / "work").folder
    shim = tmp_path / "bin" / "controller"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {" ".join(command.line())} "$@"\n')
    shim.chmod(0o755)
    environment = {**command.child_environment({}), "PATH": f"{shim.parent}:/usr/local/bin:/usr/bin:/bin"}
    without = text
    for heading in (console.DOCKER_SECTION, console.SIDECAR_SECTION):
        without = without.replace(console.section(text, heading), "")
    console.assert_blocks(console.with_own_port(without), folder, environment)


def test_the_commands_that_install_the_service_fit_its_unit(tmp_path: Path) -> None:
    """The README's block, line by line as root would paste it, below another root; without what asks a registry or systemd."""
    text = console.section((command.ROOT / "README.md").read_text(encoding="utf-8"), "As a service")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    root = tmp_path / "root"
    command.Shop(root).source.rename(root / "srv-artifacts")
    script = block.replace("/opt/artifact-controller/bin/controller", " ".join(command.line()))
    script = re.sub(r"(?<= )/(?=etc/|var/)", f"{root}/", script.replace(" /srv/artifacts", f" {root}/srv-artifacts"))
    lines = [line.partition(" && systemd-")[0] for line in script.splitlines()]
    asking = ("python3 -m venv", "/opt/artifact-controller/bin/pip", "systemctl")
    pasted = "\n".join(line for line in lines if not line.startswith(asking))
    assert " --require-hashes -r requirements.runtime.lock\n" in block
    subprocess.run(
        ["sh", "-e", "-c", f"umask 022; {pasted}"], cwd=command.ROOT, env=command.child_environment({}), check=True
    )
    given = settings.load(root / "etc/artifact-controller/controller.yml", {})
    assert given.source.directory is not None
    assert given.source.directory.path == root / "srv-artifacts"
    kept = root / "var/lib/artifact-controller"
    assert (given.config_dir, given.state_dir) == (kept / "config", kept / "state")
    unit = (root / "etc/systemd/system/artifact-controller.service").read_text(encoding="utf-8")
    assert "StateDirectory=artifact-controller\n" in unit
    assert " --config /etc/artifact-controller/controller.yml" in unit
    assert (root / "etc/artifact-controller/controller.yml").stat().st_mode & 0o777 == 0o644
    assert (root / "etc/sysusers.d/artifact-controller.conf").is_file()
    assert (root / "etc/systemd/system/artifact-controller.service.d/before-253.conf").is_file()


def test_the_step_of_the_readme_gives_the_action_what_it_takes() -> None:
    text = console.section((command.ROOT / "README.md").read_text(encoding="utf-8"), "In CI")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    step = yaml.safe_load(block)["jobs"]["artifact"]["steps"][-1]
    assert step["uses"].split("@")[0].endswith("/artifact-controller")
    assert step["with"]["command"] == "diff"
    assert set(step["with"]) <= set(pipelines.read(pipelines.ACTION)["inputs"])


def test_the_comparison_can_fail() -> None:
    assert console.matches(("a", "...", "d"), "a\nb\nc\nd\n")
    assert console.matches(("at 2026-01-01T00:00:00Z",), "at 2031-12-24T18:00:01Z\n")
    assert console.matches((), "")
    assert not console.matches((), "a\n")
    assert not console.matches(("a",), "a\nb\n")
    assert not console.matches(("a.c",), "abc\n")
    assert not console.matches(("a", "...", "d"), "a\nb\n")


def anchors(document: Path) -> set[str]:
    """What a link can name of a document: its headings, in the spelling of forges."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_relative_links_between_documents_lead_somewhere() -> None:
    for document in [command.ROOT / "README.md", command.ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for path, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
            if "://" not in path:
                to = document.parent / path if path else document
                assert to.exists(), (document, path)
                assert not anchor or anchor in anchors(to), (document, path, anchor)
