"""`--output junit` and `sarif`: documents that their readers take, on stdout alone; and no other exit code."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from controller import errors
from controller.outputs import endings, github, junit, markdown, places, sarif
from tests.fakes import command
from tests.fakes.command import Ended, Shop

ANY_TEXT = strategies.text(strategies.characters())
"""Halves of characters among it: a name may hold any bytes."""

FORMS = ("junit", "sarif")
WRONG = 'timeout: 10\n  second:\n    image: "registry:5010/x:v1"\n    timeout: "no"'


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def suites(ended: Ended) -> list[ET.Element]:
    """The suites of a document that keeps the rules of JUnit's usual schema."""
    return checked_junit(ended.out)


def checked_junit(text: str) -> list[ET.Element]:
    top = ET.fromstring(text)  # noqa: S314 - it is ours
    assert top.tag == "testsuites"
    for suite in top:
        assert suite.tag == "testsuite"
        cases = suite.findall("testcase")
        assert [child.tag for child in suite] == ["properties", *["testcase"] * len(cases)]
        failed = [case for case in cases if case.find("failure") is not None]
        assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), str(len(failed)))
        assert {"name", "errors", "skipped", "time"} <= set(suite.keys())
        for case in cases:
            assert {"name", "classname", "time"} <= set(case.keys())
            assert [child.tag for child in case] in ([], ["failure"], ["system-out"], ["failure", "system-out"])
        for failure in suite.iter("failure"):
            assert failure.get("type")
            assert failure.get("message")
    assert top.get("failures") == str(sum(int(suite.get("failures", "")) for suite in top))
    return list(top)


def checked_sarif(text: str) -> dict[str, Any]:
    """The only run of a log that keeps the rules of SARIF 2.1.0 (sections 3.13 to 3.30) that readers insist on."""
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert isinstance(run, dict)
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert run["invocations"][0].keys() >= {"executionSuccessful", "exitCode"}
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        uri = physical["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9._~%/-]+|file:///[A-Za-z0-9._~%/-]*", uri), uri
        assert ("uriBaseId" in physical["artifactLocation"]) != uri.startswith("file:")
        assert physical["region"].keys() >= {"startLine"}, "code scanning insists on it"
        assert all(number >= 1 for number in physical["region"].values())
    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (0, "FirstPublish", ("reconcile", "--once", "--source", "artifacts", "--config-dir", "config")),
        (2, "FirstPublish", ("diff", "--source", "artifacts", "--config-dir", "config", "--detailed-exitcode")),
        (0, "Valid", ("manifest", "validate", "artifacts")),
        (64, "Usage", ("diff", "--nonsense")),
        (69, "SourceMissing", ("reconcile", "--once", "--source", "absent", "--config-dir", "config")),
        (69, "SourceMissing", ("manifest", "validate", "absent")),
        (78, "SettingsInvalid", ("diff", "--source", "artifacts")),
    ],
)
def test_every_end_is_one_document(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, form: str, code: int, reason: str, arguments: tuple[str, ...]
) -> None:
    """On stdout; what people read is on stderr. The exit code is that of text."""
    monkeypatch.chdir(shop.folder)
    ended = shop.run(*arguments, "--output", form)
    assert ended.code == code
    failed = reason in errors.MEANINGS
    if form == "junit":
        (suite,) = suites(ended)
        assert (suite.get("failures") != "0") == failed
        assert {one.get("name"): one.get("value") for one in suite.iter("property")}["reason"] == reason
    else:
        run = checked_sarif(ended.out)
        assert run["properties"]["reason"] == reason
        assert run["invocations"][0] == {"executionSuccessful": not failed, "exitCode": code}
        assert [one["ruleId"] for one in run["results"] if one["level"] == "error"] == ([reason] if failed else [])
    assert ended.err


def test_problems_are_cases_with_their_place(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.folder)
    shop.edit("catalog", "functions.yml", "timeout: 10", WRONG)
    other = Shop(shop.folder / "b")
    ended = shop.run("manifest", "validate", "artifacts", "b/artifacts", "--output", "junit")
    assert ended.code == 65
    first, second = suites(ended)
    assert second.get("failures") == "0"
    (case,) = [case for case in first.iter("testcase") if case.find("failure") is not None]
    assert (case.get("file"), case.get("line")) == ("artifacts/catalog/config/functions.yml", "10")
    failure = case.find("failure")
    assert failure is not None
    assert "functions.second.timeout" in (failure.get("message") or "")
    assert "hint: " in (failure.text or "")
    assert other.source.exists()


def test_results_have_a_rule_a_place_and_a_key(shop: Shop) -> None:
    shop.edit("catalog", "functions.yml", "timeout: 10", WRONG)
    ended = shop.diff("--output", "sarif", environment={"GITHUB_WORKSPACE": str(shop.folder)})
    assert ended.code == 65
    run = checked_sarif(ended.out)
    (result,) = run["results"]
    assert result["ruleId"] == "ArtifactInvalid"
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "artifacts/catalog/config/functions.yml"
    assert location["physicalLocation"]["region"]["startLine"] == 10
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "functions.second.timeout"
    assert run["tool"]["driver"]["rules"][0]["help"]["text"] == errors.MEANINGS["ArtifactInvalid"].hint


def test_the_verdict_says_everything_once(shop: Shop) -> None:
    """The plan with its summary, which is what a comparison says in a sentence."""
    other = Shop(shop.folder / "b")
    other.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = shop.run("diff", "--source", other.source, "--against", shop.source, "--output", "junit")
    (suite,) = suites(ended)
    told = (suite.findtext("testcase/system-out") or "").splitlines()
    assert told[-1] == "Plan: 0 to add, 1 to change, 0 to remove"
    assert len(set(told)) == len(told) > 2


@pytest.mark.parametrize("form", FORMS)
def test_l7_a_busy_lock_is_told_apart(shop: Shop, form: str) -> None:
    """L7: 75 in the process, the reason in the document."""
    shop.published()
    with command.locked(shop.config):
        ended = shop.reconcile("--wait", "0", "--output", form)
    assert ended.code == 75
    told = ended.out
    assert "LockBusy" in told
    assert checked_junit(told) if form == "junit" else checked_sarif(told)


@pytest.mark.parametrize("form", FORMS)
def test_blockers_are_told_with_their_own_way_out(shop: Shop, form: str) -> None:
    """All of them: a pass that is suspended and lacks a secret has two reasons."""
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shop.about("suspend", "--reason", "freeze")
    ended = shop.diff("--output", form)
    assert ended.code == 77
    assert errors.MEANINGS["Suspended"].hint in ended.out
    assert checked_junit(ended.out) if form == "junit" else checked_sarif(ended.out)


def _error(reason: str, message: str) -> endings.Finding:
    return endings.Finding(endings.Level.ERROR, reason, message)


def test_several_targets_are_told_each_under_its_name() -> None:
    """The step's reason, revision and summary are those of the one that its exit code comes from."""
    good = endings.Ending("SourceChanged", "published", changed=True, subject="core")
    wrong = _error("LockBusy", "somebody holds it")
    busy = endings.Ending("LockBusy", "somebody holds it", 75, False, "sha256:1", "wait", "edge", findings=(wrong,))
    late = endings.Ending("AfterFailed", "not run", 69, subject="web", findings=(_error("AfterFailed", "not run"),))
    run = endings.Run("reconcile", 75, (good, late, busy))
    assert [suite.get("name") for suite in checked_junit(junit.document(run))] == [
        "controller reconcile core",
        "controller reconcile web",
        "controller reconcile edge",
    ]
    told = checked_sarif(sarif.document(run))
    assert told["properties"]["reason"] == "LockBusy"
    assert [one["message"]["text"] for one in told["results"]] == ["web: not run", "edge: somebody holds it"]
    assert list(github.annotations(run)) == [
        "::error title=AfterFailed::web: not run",
        "::error title=LockBusy::edge: somebody holds it",
    ]
    assert github.outputs(run) == (
        "exit-code=75\nreason=LockBusy\nchanged=true\nrevision=sha256:1\nsummary=somebody holds it\n"
    )
    summary = markdown.summary(run, 10_000)
    assert summary.index("### reconcile core") < summary.index("### reconcile edge")


def test_what_several_targets_find_at_one_place_is_told_once() -> None:
    """Twelve targets of one source: else their one mistake would be all ten annotations, and twelve alerts."""
    same = endings.Finding(endings.Level.ERROR, "ArtifactInvalid", "wrong", "f.yml", 3, 5, "k")
    twelve = tuple(endings.Ending("ArtifactInvalid", "x", 65, subject=f"t{n}", findings=(same,)) for n in range(12))
    other = endings.Ending("LockBusy", "busy", 75, subject="late", findings=(_error("LockBusy", "busy"),))
    run = endings.Run("reconcile", 65, (*twelve, other))
    assert [line.partition("::")[2] for line in github.annotations(run)] == [
        "error file=f.yml,line=3,col=5,title=ArtifactInvalid::wrong",
        "error title=LockBusy::late: busy",
    ]
    assert [one["ruleId"] for one in checked_sarif(sarif.document(run))["results"]] == ["ArtifactInvalid", "LockBusy"]
    assert len(checked_junit(junit.document(run))) == 13, "a suite is a target's own"


def test_a_path_outside_of_the_checkout_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "checkout"
    inside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(inside))
    (tmp_path / "f.yml").touch()
    assert places.of("f.yml", str(tmp_path)) == str(tmp_path / "f.yml")
    assert places.of("a b#c.yml", "") == "a b#c.yml"
    assert places.uri("a b#c:1.yml") == "a%20b%23c%3A1.yml"
    assert places.uri("/a b") == "file:///a%20b"
    assert places.of("../artifacts/f.yml", "deploy") == "artifacts/f.yml"
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "absent"))
    monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path))
    assert places.of("f.yml", str(tmp_path)) == "f.yml", "a variable that leads nowhere does not count"


@hypothesis.given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_gives_a_document(reason: str, message: str, file: str) -> None:
    """Property: what a name or a message holds is never read as part of the form; stdout of any encoding takes it."""
    finding = endings.Finding(endings.Level.ERROR, reason or "X", message or "x", file, 1, 0, message)
    told = endings.Ending("ArtifactInvalid", message, 65, subject=file, findings=(finding,), notes=(message,))
    run = endings.Run("diff", 65, (told,))
    text = junit.document(run)
    assert text.isascii()
    (suite,) = checked_junit(text)
    if message.isascii() and message.isprintable() and message:
        failure = next(suite.iter("failure"))
        assert message.strip() in (failure.get("message") or "")
    log = sarif.document(run)
    assert log.isascii()
    checked_sarif(log)
