"""`--output github`: annotations that the runner reads, a summary that nothing breaks, outputs; and no other code."""

import contextlib
import html
import io
import os
import re
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from controller import output as output_module
from controller.outputs import choice, endings, github, markdown
from tests.fakes import command, jobs
from tests.fakes.command import Shop
from tests.fakes.jobs import Job

ANY_TEXT = strategies.text(strategies.characters())
"""Halves of characters among it: a name may hold any bytes."""


@pytest.fixture
def step(tmp_path: Path) -> tuple[Shop, Job]:
    return jobs.shop(tmp_path)


def broken(shop: Shop, count: int = 1) -> None:
    """An artifact with so many problems."""
    wrong = "".join(f'  k{number}:\n    image: "registry:5010/x:v1"\n    timeout: "no"\n' for number in range(count))
    shop.edit("catalog", "functions.yml", "  catalog-list:", f"{wrong}  catalog-list:")


def test_a_first_publish_in_a_job(step: tuple[Shop, Job]) -> None:
    """Text stays on stdout; summary and outputs are files."""
    shop, job = step
    ended = shop.reconcile("--detailed-exitcode", environment=job.environment())
    assert ended.code == 2
    assert ended.out.splitlines()[-1].startswith("done (FirstPublish): ")
    assert jobs.annotations(ended.out) == []
    assert job.values()["exit-code"] == "2"
    assert (job.values()["reason"], job.values()["changed"]) == ("FirstPublish", "true")
    assert job.values()["summary"].startswith("published revision sha256:")
    rows = jobs.cells(job.summary.read_text())
    assert ["<code>+</code>", "function <code>catalog-list</code>"] in [row[:2] for row in rows]


@pytest.mark.parametrize("arguments", [("reconcile", "--once"), ("diff",)])
def test_every_problem_is_an_annotation_at_its_place(step: tuple[Shop, Job], arguments: tuple[str, ...]) -> None:
    """The path is that of the checkout, whatever folder of it the source is."""
    shop, job = step
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: "no"')
    ended = shop.run(*arguments, *shop.target, environment=job.environment())
    assert ended.code == 65
    (found,) = jobs.annotations(ended.out)
    assert found.name == "error"
    assert found.properties == {
        "file": "artifacts/catalog/config/functions.yml",
        "line": "7",
        "col": "5",
        "title": "ArtifactInvalid",
    }
    assert found.text == "functions.catalog-list.timeout: must be a whole number, not text"
    assert (job.values()["exit-code"], job.values()["reason"]) == ("65", "ArtifactInvalid")


def test_validate_tells_the_places_of_every_artifact(step: tuple[Shop, Job]) -> None:
    shop, job = step
    other = Shop(shop.folder / "deploy" / "b")
    broken(shop)
    command.replace_text(other.manifest, "mode: docker", "mode: docker\nnext_thing: 1")
    ended = shop.run("manifest", "validate", shop.source, other.source.parent.parent, environment=job.environment())
    assert ended.code == 65
    told = [(one.name, one.properties["file"]) for one in jobs.annotations(ended.out)]
    assert told == [
        ("error", "artifacts/catalog/config/functions.yml"),
        ("warning", "deploy/b/artifacts/artifact.yml"),
    ]


@pytest.mark.parametrize(("count", "more"), [(9, None), (10, None), (11, "and 1 more"), (40, "and 30 more")])
def test_at_most_ten_annotations_then_a_count(step: tuple[Shop, Job], count: int, more: str | None) -> None:
    shop, job = step
    broken(shop, count)
    ended = shop.run("manifest", "validate", shop.source, environment=job.environment())
    found = jobs.annotations(ended.out)
    assert [one.name for one in found[:10]] == ["error"] * min(count, 10)
    assert [one.text for one in found[10:]] == ([more] if more else [])
    assert len(jobs.cells(job.summary.read_text())) == count + 2, "the summary has them all"


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (64, "Usage", ("diff", "--nonsense")),
        (65, "PlanUnreadable", ("reconcile", "--once", "--plan", "absent.json")),
        (69, "SourceMissing", ("diff", "--source", "absent", "--config-dir", "config")),
        (78, "SettingsInvalid", ("reconcile", "--once", "--source", "absent")),
        (78, "SettingsInvalid", ("manifest", "validate", "x", "--config", "absent.yml")),
    ],
)
def test_a_failure_before_there_is_a_plan(
    step: tuple[Shop, Job], code: int, reason: str, arguments: tuple[str, ...]
) -> None:
    """One annotation with the reason and the way out."""
    shop, job = step
    ended = shop.run(*arguments, environment=job.environment())
    assert ended.code == code
    (found,) = jobs.annotations(ended.out)
    assert (found.name, found.properties) == ("error", {"title": reason})
    assert "\nhint: " in found.text
    assert (job.values()["exit-code"], job.values()["reason"]) == (str(code), reason)
    assert f"<code>{reason}</code>" in job.summary.read_text()


def test_settings_that_are_wrong_are_shown_in_their_file(step: tuple[Shop, Job]) -> None:
    shop, job = step
    (shop.folder / "controller.yml").write_text("interval: 30s\npolcy: {}\n")
    config = shop.folder / "controller.yml"
    ended = shop.diff("--config", config, environment=job.environment())
    (found,) = jobs.annotations(ended.out)
    assert (found.properties["file"], found.properties["line"]) == ("controller.yml", "2")
    assert "did you mean policy?" in found.text


def test_l7_a_busy_lock_is_75_and_no_failure_of_the_artifact(step: tuple[Shop, Job]) -> None:
    """L7: told apart from a failure by the code and by the reason in every form."""
    shop, job = step
    shop.published()
    with command.locked(shop.config):
        ended = shop.reconcile("--wait", "1s", environment=job.environment())
    assert ended.code == 75
    (found,) = jobs.annotations(ended.out)
    assert found.properties == {"title": "LockBusy"}
    assert "--wait" in found.text
    assert job.values()["reason"] == "LockBusy"


def test_a_plan_that_moved_is_77(step: tuple[Shop, Job]) -> None:
    shop, job = step
    plan = shop.folder / "plan.json"
    assert shop.diff("--out", plan).code == 0
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = shop.reconcile("--plan", plan, environment=job.environment())
    assert (ended.code, job.values()["reason"]) == (77, "PlanMoved")
    assert [one.properties["title"] for one in jobs.annotations(ended.out)] == ["PlanMoved"]


def test_an_output_that_is_asked_for_wins_over_the_runner(step: tuple[Shop, Job]) -> None:
    shop, job = step
    broken(shop)
    for output in ("text", "json"):
        ended = shop.diff("--output", output, environment=job.environment())
        assert (ended.code, jobs.annotations(ended.out)) == (65, [])
    assert not job.summary.exists()
    assert not job.outputs.exists()


def test_outside_of_a_job_nothing_is_chosen_and_github_can_be_asked_for(step: tuple[Shop, Job]) -> None:
    shop, _ = step
    broken(shop)
    assert jobs.annotations(shop.diff().out) == []
    assert len(jobs.annotations(shop.diff("--output", "github").out)) == 1


def test_a_command_that_is_no_step_is_left_alone(step: tuple[Shop, Job]) -> None:
    shop, job = step
    ended = shop.run("status", "--nonsense", environment=job.environment())
    assert (ended.code, jobs.annotations(ended.out)) == (64, [])
    ended = shop.run("reconcile", "--output", "junit", *shop.target, environment=job.environment())
    assert (ended.code, "--output junit is about one pass" in ended.err) == (64, True)


@pytest.mark.parametrize("name", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
@pytest.mark.parametrize("place", ["absent/file", ".", "fifo"])
def test_p15_a_file_that_cannot_be_written_is_a_note(step: tuple[Shop, Job], name: str, place: str) -> None:
    """P15: the pass is as it was; nobody waits for the reader of a FIFO."""
    shop, job = step
    os.mkfifo(shop.folder / "fifo")
    ended = shop.reconcile("--detailed-exitcode", environment=job.environment(**{name: str(shop.folder / place)}))
    assert ended.code == 2
    assert f"note: {name}: cannot be written" in ended.err
    assert job.outputs.exists() != job.summary.exists(), "the other file is written"


@pytest.mark.slow
def test_the_summary_is_appended_and_stays_below_a_megabyte(step: tuple[Shop, Job]) -> None:
    """A step may call several commands; what has no room is counted."""
    shop, job = step
    functions = "".join(f'  f{n}:\n    image: "registry:5010/x/f{n}:v1"\n' for n in range(9000))
    document = shop.document("orders", "functions.yml")
    document.write_text(f"functions:\n{functions}")
    shop.document("orders", "routing.yml").write_text("routes: []\n")
    job.summary.write_text("before, without an end")
    ended = shop.diff(environment=job.environment())
    assert ended.code == 0, ended.err
    text = job.summary.read_text()
    assert text.startswith("before, without an end\n### diff")
    assert 500_000 < len(text.encode()) <= github.MOST_SUMMARY
    shown = len([row for row in jobs.cells(text) if row[0] == "<code>+</code>"])
    left_out = re.search(r"^and ([0-9]+) more changes, which have no room here$", text, re.MULTILINE)
    assert left_out
    added = re.search(r"Plan: ([0-9]+) to add", ended.out)
    assert added
    assert shown + int(left_out[1]) == int(added[1])
    ended = shop.diff(environment=job.environment())
    assert ended.code == 0
    assert len(job.summary.read_bytes()) <= github.MOST_SUMMARY


def test_p15_a_summary_without_room_is_a_note(step: tuple[Shop, Job]) -> None:
    """P15: what other commands of the step have written stays as it is."""
    shop, job = step
    job.summary.write_bytes(b"x\n" * (github.MOST_SUMMARY // 2))
    ended = shop.diff(environment=job.environment())
    assert (ended.code, "note: GITHUB_STEP_SUMMARY: cannot be written" in ended.err) == (0, True)
    assert job.summary.stat().st_size == github.MOST_SUMMARY
    assert job.values()["reason"] == "FirstPublish"


def test_a_value_that_may_be_secret_is_in_none_of_it(step: tuple[Shop, Job]) -> None:
    """P13: the masks of a plan hold in every form."""
    shop, job = step
    shop.published()
    shop.edit("catalog", "functions.yml", 'LOG_LEVEL: "info"', 'LOG_LEVEL: "canary-1"')
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: 10\n    environment:\n      KEY: "canary-2"')
    for output in (*choice.FOR_MACHINES, "text", "json"):
        ended = shop.diff("--output", output, environment=job.environment())
        assert ended.code == 0
        assert "canary" not in ended.text
    assert "canary" not in job.summary.read_text() + job.outputs.read_text()


HOSTILE = "a|b`c<script>&[x](http://e)*_~@me #1 ::error::no\n::set-env name=A::b\r##[error]x\x1b[31m%0A $x$ www.e.org"


def test_nothing_of_a_source_breaks_the_form() -> None:
    """K2: names hold what they like; the runner obeys none of it, and a table stays a table."""
    run = endings.Run(
        "diff",
        65,
        (
            endings.Ending(
                "ArtifactInvalid",
                HOSTILE,
                subject=HOSTILE,
                findings=(endings.Finding(endings.Level.ERROR, "ArtifactInvalid", HOSTILE, HOSTILE, 1, 2, HOSTILE),),
                notes=(HOSTILE,),
            ),
        ),
    )
    (line,) = github.annotations(run)
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    (found,) = jobs.annotations(line)
    assert found.properties["line"] == "1"
    assert set(found.properties) == {"file", "line", "col", "title"}
    assert not [one for one in github.outputs(run).splitlines() if not re.match(r"[\w-]+=", one)]
    text = markdown.summary(run, 100_000)
    assert [len(row) for row in jobs.cells(text)] == [4, 4, 4, 1, 1, 1]
    shown = html.unescape(re.sub(r"</?(code|br)>", "", text))
    assert "a|b`c<script>" in shown
    assert not set(re.sub(r"</?(?:code|br)>|&#[0-9]+;|\*\*|^#+|^\|.*?$", "", text, flags=re.MULTILINE)) & set(
        "`<>[]|@#"
    )


def test_words_of_a_source_are_no_commands_of_the_runner(step: tuple[Shop, Job]) -> None:
    """K2: what people read goes through the same runner, whatever form was asked for: `::` at the start of a line and
    `##[` anywhere are taken apart."""
    shop, job = step
    name = "x##[error]y"
    for output in ("text", "json", "github"):
        for words in (("manifest", "validate", name), ("diff", "--source", name, "--config-dir", shop.config)):
            ended = shop.run(*words, "--output", output, environment=job.environment())
            assert "error]y" in ended.text
            assert "##[" not in ended.text
    plain = output_module.Printer()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GITHUB_ACTIONS", "true")
        assert printed(plain, "  ::add-mask::x") == "  \\x3a:add-mask::x\n"
        assert printed(plain, "a::b") == "a::b\n"
    assert printed(plain, "::x") == "::x\n"


def printed(printer: output_module.Printer, line: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        printer.result("x", {}, [line])
    return out.getvalue()


@hypothesis.given(ANY_TEXT, ANY_TEXT)
def test_any_text_comes_back_from_an_annotation(file: str, message: str) -> None:
    """Property: one line, two separators, and the text is what `output.clean` leaves of it."""
    finding = endings.Finding(endings.Level.WARNING, "X", message, file)
    run = endings.Run("diff", 0, (endings.Ending("X", "", findings=(finding,)),))
    (line,) = github.annotations(run)
    (found,) = jobs.annotations(line)
    assert (found.name, found.properties["title"]) == ("warning", "X")
    if message.isascii() and message.isprintable():
        assert found.text == message


@hypothesis.given(ANY_TEXT)
def test_any_text_shows_itself_in_markdown(text: str) -> None:
    """Property: what is escaped holds no character that means anything, and reads as before."""
    shown = markdown.escaped(text)
    assert not set(re.sub(r"&#[0-9]+;", "", shown)) & set("|`<>&*_[]{}~#@:$!\\\n")
    if text.isascii() and text.isprintable():
        assert html.unescape(shown) == text
