"""Several targets at the level of commands, on real folders: each for itself, in one order, with one exit code."""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml

from controller import errors, reconciler
from tests.fakes import command, git_server, jobs, tools
from tests.fakes.command import Ended, Shop

NAMES = ("core", "edge", "web")


class Stacks:
    """A shop for each of the names below `folder`, and one controller.yml for them all, in which edge is after core."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "controller.yml"
        self.shops = {name: Shop(_made(folder / name)) for name in NAMES}
        self.write()

    def write(self, **more: object) -> None:
        """The file anew; `more` stands beside the targets."""
        targets = {
            name: {"config_dir": f"{name}/config", "source": {"directory": {"path": f"{name}/artifacts"}}}
            for name in NAMES
        }
        document = {**more, "targets": {name: targets[name] for name in ("edge", "core", "web")}}
        document["targets"]["edge"]["after"] = ["core"]  # type: ignore[index]  # built just above
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, verb: str, *more: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """A command about them."""
        return command.run(verb, *more, "--config", self.file, environment=environment)

    def once(self, *more: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """`reconcile --once`."""
        return self.run("reconcile", "--once", *more, environment=environment)

    def once_apart(self, *more: str | Path) -> Ended:
        """The same in a process of its own, by the hours of this machine: targets that share a clone wait for one
        another, which the hours of a test, put forward by every wait, would end at once."""
        return command.child("reconcile", "--once", *more, "--config", self.file)

    def published(self, but: Iterable[str] = ()) -> bool:
        """Whether all of them show their documents, and those of `but` show none."""
        return all(
            any(command.documents(shop.config).values()) is (name not in but) for name, shop in self.shops.items()
        )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    return Stacks(tmp_path)


def codes(ended: Ended) -> dict[str, int]:
    """The exit code of each, in the order in which they had their turns."""
    return {row["target"]: row["exit_code"] for row in ended.json["targets"]}


class TestReconcile:
    """`reconcile --once`."""

    def test_all_in_their_order(self, stacks: Stacks) -> None:
        ended = stacks.once()
        assert ended.code == 0, ended.text
        assert stacks.published()
        assert [line for line in ended.out.splitlines() if line.startswith("target ")] == [
            "target core",
            "target edge",
            "target web",
        ]
        assert ended.out.count("done (FirstPublish): ") == 3
        assert all(line.startswith(("core: ", "edge: ", "web: ")) for line in ended.err.splitlines())

    def test_as_json_there_is_one_document_of_them_all(self, stacks: Stacks) -> None:
        document = stacks.once("--output", "json").json
        assert (document["schema"], document["exit_code"]) == ("artifact-controller/report-set/v1", 0)
        assert [row["target"] for row in document["targets"]] == list(NAMES)
        for row in document["targets"]:
            assert (row["exit_code"], row["result"]["reason"]) == (0, "FirstPublish")
            assert row["result"]["schema"] == "artifact-controller/report/v1"

    @pytest.mark.parametrize("verb", ["reconcile", "diff", "status", "history", "events", "suspend", "resume"])
    def test_every_set_is_documented_and_has_these_keys(self, stacks: Stacks, verb: str) -> None:
        stacks.once()
        more = {"reconcile": ["--once"], "suspend": ["--reason", "a test"]}.get(verb, [])
        document = stacks.run(verb, *more, "--output", "json").json
        assert list(document) == ["schema", "exit_code", "targets"]
        assert {tuple(row) for row in document["targets"]} == {("target", "exit_code", "result")}
        text = (command.ROOT / "docs" / "json.md").read_text()
        assert f"`{document['schema'].removeprefix('artifact-controller/')}`" in text
        alone = stacks.run(verb, *more, "--output", "json", "--target", "web").json
        assert {row["result"]["schema"] for row in document["targets"]} == {alone["schema"]}

    def test_one_of_them_alone_is_as_if_there_were_no_others(self, stacks: Stacks) -> None:
        ended = stacks.once("--target", "edge", "--output", "json")
        assert (ended.code, ended.json["schema"]) == (0, "artifact-controller/report/v1")
        assert stacks.published(but=("core", "web"))

    def test_some_of_them(self, stacks: Stacks) -> None:
        ended = stacks.once("--target", "web", "--target", "edge", "--output", "json")
        assert codes(ended) == {"edge": 0, "web": 0}
        assert stacks.published(but=("core",))

    def test_detailed_exitcode_is_that_of_the_worst(self, stacks: Stacks) -> None:
        stacks.once("--target", "core")
        assert codes(stacks.once("--detailed-exitcode", "--output", "json")) == {"core": 0, "edge": 2, "web": 2}
        assert stacks.once("--detailed-exitcode").code == 0

    @pytest.mark.parametrize("poison", ["bad YAML", "no source", "no place"])
    def test_c2_a_poisoned_target_never_stops_the_others(self, stacks: Stacks, poison: str) -> None:
        """C2: whatever is wrong with one, the others are published in the same run, and the code is that one's."""
        shop = stacks.shops["web"]
        if poison == "bad YAML":
            shop.manifest.write_text("a: [")
        elif poison == "no source":
            shop.source.rename(shop.folder / "away")
        else:
            shop.config.write_text("a file")
        wanted = {"bad YAML": 65, "no source": 69, "no place": 73}[poison]
        ended = stacks.once("--output", "json")
        assert (ended.code, codes(ended)) == (wanted, {"core": 0, "edge": 0, "web": wanted})
        assert all(command.documents(stacks.shops[name].config)["functions.yml"] for name in ("core", "edge"))
        assert "web: failed (" in ended.err

    def test_c2_the_first_one_poisoned_does_not_hold_up_those_behind_it(self, stacks: Stacks) -> None:
        """C2: only what is `after` it waits; healed, both are converged by the next run."""
        shop = stacks.shops["core"]
        text = shop.manifest.read_text()
        shop.manifest.write_text("a: [")
        ended = stacks.once("--output", "json")
        assert codes(ended) == {"core": 65, "edge": 69, "web": 0}
        assert ended.code == 65, "what waits does not hide why"
        edge = ended.json["targets"][1]["result"]
        assert (edge["schema"], edge["reason"]) == ("artifact-controller/error/v1", "AfterFailed")
        assert edge["message"] == "not converged: the last pass of core failed"
        assert stacks.published(but=("core", "edge"))
        assert "edge: failed (AfterFailed): " in stacks.once().err
        shop.manifest.write_text(text)
        assert codes(stacks.once("--output", "json")) == {"core": 0, "edge": 0, "web": 0}
        shop.manifest.write_text("a: [")
        stacks.once()
        assert stacks.run("status").out.splitlines()[2].split()[:3] == ["edge", "False", "AfterFailed"]
        rows = stacks.run("history", "--target", "edge", "--output", "json").json["rows"]
        assert [row["reason"] for row in rows] == ["AfterFailed", "FirstPublish"]
        shop.manifest.write_text(text)
        stacks.once()
        assert stacks.run("status").out.splitlines()[2].split()[:2] == ["edge", "True"]

    def test_chosen_alone_it_waits_for_nobody(self, stacks: Stacks) -> None:
        stacks.shops["core"].manifest.write_text("a: [")
        assert stacks.once("--target", "edge").code == 0

    def test_c2_a_bug_in_the_turn_of_one_is_no_end_for_the_next(
        self, stacks: Stacks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """C2: it is told as a bug, with its traceback, and counts most."""
        real = reconciler.reconcile_once

        def sometimes(opened: object, request: object) -> object:
            if getattr(opened, "name", "") == "core":
                raise ZeroDivisionError
            return real(opened, request)  # type: ignore[arg-type]  # handed through as it came

        monkeypatch.setattr(reconciler, "reconcile_once", sometimes)
        ended = stacks.once("--output", "json")
        assert (ended.code, codes(ended)) == (70, {"core": 70, "edge": 69, "web": 0})
        assert ended.json["targets"][0]["result"]["reason"] == "Bug"
        assert "core: Traceback (most recent call last):" in ended.err
        assert stacks.published(but=("core", "edge"))

    def test_a_saved_plan_is_of_one_target(self, stacks: Stacks) -> None:
        plan = stacks.file.parent / "plan.json"
        assert stacks.run("diff", "--out", plan).code == errors.USAGE
        assert not plan.exists()
        assert stacks.run("diff", "--out", plan, "--target", "web").code == 0
        ended = stacks.once("--plan", plan)
        assert (ended.code, "choose it with --target, one of core, edge, web" in ended.err) == (errors.USAGE, True)
        assert stacks.once("--plan", plan, "--target", "web").code == 0
        assert stacks.published(but=("core", "edge"))

    def test_b8_two_that_claim_one_config_dir_are_refused(self, stacks: Stacks) -> None:
        """B8: before anything is done, also when one of them is chosen."""
        stacks.file.write_text(stacks.file.read_text().replace("config_dir: web/config", "config_dir: core/config"))
        for chosen in ((), ("--target", "web"), ("--target", "edge")):
            ended = stacks.once(*chosen)
            assert ended.code == 78
            assert "targets.web.config_dir: is also config_dir of target core" in ended.err
        assert stacks.published(but=NAMES)

    def test_one_place_for_several_is_wrong_usage(self, stacks: Stacks) -> None:
        ended = stacks.once("--config-dir", stacks.file.parent / "elsewhere")
        assert (ended.code, "choose one of them with --target" in ended.err) == (errors.USAGE, True)
        elsewhere = stacks.file.parent / "elsewhere"
        assert stacks.once("--config-dir", elsewhere, "--target", "web").code == 0
        assert (elsewhere / "functions.yml").exists()

    def test_a_common_state_directory_is_made_for_them(self, stacks: Stacks) -> None:
        """As that of one target is: its last part, and the folder of each in it. Two parts would be a typing error."""
        folder = stacks.file.parent
        stacks.write(state_dir="state")
        assert [line for line in stacks.run("doctor", "--skip-images").out.splitlines() if "FAIL" in line] == []
        assert stacks.once().code == 0
        assert {place.name for place in (folder / "state").iterdir()} == set(NAMES)
        assert (folder / "state").stat().st_mode & 0o077 == 0, "for nobody else, as the record in it"
        stacks.write(state_dir="no/where")
        ended = stacks.once("--output", "json")
        assert set(codes(ended).values()) == {78, 69}
        assert "core: failed (SettingsInvalid): state_dir no/where/core: " in ended.err.replace(f"{folder}/", "")
        assert not (folder / "no").exists()

    def test_b8_a_take_over_is_only_for_those_that_are_named(self, stacks: Stacks) -> None:
        """One that was renamed is told the way out, which takes nothing from anybody else's target."""
        stacks.once()
        stacks.file.write_text(stacks.file.read_text().replace("  web:", "  shop:"))
        refused = stacks.once("--output", "json")
        assert (refused.code, codes(refused)) == (77, {"core": 0, "edge": 0, "shop": 77})
        assert "shop: hint: if this target moved or was renamed" in refused.err
        for more in ((), ("--once",)):
            ended = stacks.run("reconcile", *more, "--take-over")
            assert (ended.code, "give --target, of core, edge, shop" in ended.err) == (errors.USAGE, True)
        assert stacks.once("--target", "shop").code == 77
        assert stacks.once("--target", "shop", "--target", "core", "--take-over").code == 0
        assert stacks.once().code == 0

    def test_one_that_could_never_work_is_named_when_it_is_to_stay(self, stacks: Stacks) -> None:
        stacks.file.write_text("targets: {core: {config_dir: a, source: {directory: {path: b}}}, web: {config_dir: c}}")
        ended = stacks.run("reconcile")
        assert (ended.code, "failed (SettingsInvalid): target web: no source is set" in ended.err) == (78, True)

    def test_an_unknown_name_names_the_nearest(self, stacks: Stacks) -> None:
        ended = stacks.once("--target", "edg")
        assert (ended.code, "no target 'edg'; did you mean edge?" in ended.err) == (errors.USAGE, True)


class TestAnswers:
    """C2: what a job's step says of one that is poisoned, one that is `after` it, and one that goes on."""

    @pytest.fixture
    def poisoned(self, stacks: Stacks) -> Stacks:
        stacks.shops["core"].manifest.write_text("a: [")
        return stacks

    def test_github(self, poisoned: Stacks, tmp_path: Path) -> None:
        job = jobs.Job(tmp_path)
        ended = poisoned.once("--output", "github", environment=job.environment())
        assert ended.code == 65
        broken, waits = jobs.annotations(ended.out)
        assert (broken.properties["title"], broken.properties["file"]) == (
            "ArtifactInvalid",
            "core/artifacts/artifact.yml",
        )
        assert (waits.properties["title"], waits.text.splitlines()[0]) == (
            "AfterFailed",
            "edge: not converged: the last pass of core failed",
        )
        values = job.values()
        assert (values["exit-code"], values["reason"], values["changed"]) == ("65", "ArtifactInvalid", "true")
        headings = [line for line in job.summary.read_text().splitlines() if line.startswith("### ")]
        assert headings == ["### reconcile core", "### reconcile edge", "### reconcile web"]

    def test_junit(self, poisoned: Stacks) -> None:
        ended = poisoned.once("--output", "junit")
        assert ended.code == 65
        suites = list(ET.fromstring(ended.out))  # noqa: S314 - it is ours
        told = {
            suite.get("name"): [(each.find("failure") is not None) for each in suite.findall("testcase")]
            for suite in suites
        }
        assert {name: any(failed) for name, failed in told.items()} == {
            "controller reconcile core": True,
            "controller reconcile edge": True,
            "controller reconcile web": False,
        }
        assert [failure.get("type") for failure in suites[1].iter("failure")] == ["AfterFailed"]

    def test_sarif(self, poisoned: Stacks) -> None:
        (run,) = poisoned.once("--output", "sarif").json["runs"]
        assert run["invocations"] == [{"executionSuccessful": False, "exitCode": 65}]
        assert {one["ruleId"]: one["message"]["text"].splitlines()[0] for one in run["results"]} == {
            "ArtifactInvalid": run["results"][0]["message"]["text"],
            "AfterFailed": "edge: not converged: the last pass of core failed",
        }

    def test_of_a_comparison(self, poisoned: Stacks, tmp_path: Path) -> None:
        """Nobody waits to be compared."""
        ended = poisoned.run("diff", "--output", "github", environment=jobs.Job(tmp_path).environment())
        assert (ended.code, [one.properties["title"] for one in jobs.annotations(ended.out)]) == (
            65,
            ["ArtifactInvalid"],
        )

    def test_a_bug_in_the_turn_of_one_is_told_too(self, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconciler, "reconcile_once", lambda *_: 1 / 0)
        ended = stacks.once("--output", "github")
        assert ended.code == errors.BUG
        assert [(one.properties["title"], one.text.partition(":")[0]) for one in jobs.annotations(ended.out)] == [
            ("Bug", "core"),
            ("AfterFailed", "edge"),
            ("Bug", "web"),
        ]


class TestLooking:
    """Commands that look at them."""

    def test_status_lists_them(self, stacks: Stacks) -> None:
        stacks.once()
        stacks.run("suspend", "--reason", "a test", "--target", "web")
        ended = stacks.run("status")
        assert ended.code == 0, ended.text
        heading, *lines = (line.split() for line in ended.out.splitlines())
        assert heading == ["TARGET", "READY", "REASON", "REVISION", "GENERATION"]
        assert [line[:3] for line in lines] == [[name, "True", "FirstPublish"] for name in NAMES]
        assert [line[4:] for line in lines] == [["1"], ["1"], ["1", "suspended"]]

    def test_status_of_one_is_the_whole_of_it(self, stacks: Stacks) -> None:
        stacks.once()
        ended = stacks.run("status", "--target", "edge", "--output", "json")
        assert (ended.json["schema"], ended.json["name"]) == ("artifact-controller/status/v1", "edge")

    def test_status_of_one_that_cannot_be_looked_at(self, stacks: Stacks) -> None:
        stacks.once("--target", "core", "--target", "edge")
        ended = stacks.run("status")
        assert ended.code == 73
        assert ended.out.splitlines()[-1].split() == ["web", "Unknown", "ConfigDirUnusable", "-", "-"]
        assert "web: failed (ConfigDirUnusable): " in ended.err
        ended = stacks.run("status", "--output", "json")
        assert (ended.json["schema"], ended.json["exit_code"]) == ("artifact-controller/status-set/v1", 73)
        assert codes(ended) == {"core": 0, "edge": 0, "web": 73}
        assert ended.json["targets"][0]["result"]["applied_revision"].startswith("sha256:")

    @pytest.mark.process
    def test_status_tells_of_each_how_its_sources_are(self, stacks: Stacks) -> None:
        """The last good checkout keeps a target converged for days: whoever lists them has to see that."""
        tools.require("git")
        folder = stacks.file.parent
        author = git_server.Author(folder / "work", folder / "shop.git")
        shutil.copytree(stacks.shops["core"].source, folder / "work", dirs_exist_ok=True)
        author.commit("one")
        author.push()
        copy = {"directory": {"path": str(stacks.shops["web"].source)}}
        stacks.write(state_dir="state", source=[{"git": {"url": f"file://{author.bare}"}}, copy])
        document = yaml.safe_load(stacks.file.read_text())
        for name in ("core", "web"):
            del document["targets"][name]["source"]
        document["targets"]["core"]["source"] = document["source"][:1]
        stacks.file.write_text(yaml.safe_dump(document))
        assert stacks.once_apart().code == 0
        author.bare.rename(folder / "away")
        assert codes(stacks.once_apart("--output", "json")) == {"core": 69, "edge": 69, "web": 0}
        marks = {
            line.split()[0]: line.rpartition("  ")[2].strip() for line in stacks.run("status").out.splitlines()[1:]
        }
        assert (marks["core"], marks["web"]) == ("source: SourceUnavailable", "another source stands in")

    def test_diff_of_all(self, stacks: Stacks) -> None:
        stacks.once("--target", "core")
        ended = stacks.run("diff", "--detailed-exitcode", "--output", "json")
        assert (ended.code, codes(ended)) == (2, {"core": 0, "edge": 2, "web": 2})
        assert ended.json["schema"] == "artifact-controller/plan-set/v1"
        assert ended.json["targets"][2]["result"]["schema"] == "artifact-controller/plan/v1"
        assert stacks.run("diff").out.count("target ") == 3
        assert stacks.published(but=("edge", "web"))

    def test_two_sources_are_compared_by_what_all_share_or_by_the_rules_of_one(self, stacks: Stacks) -> None:
        """No target is needed for it, and the settings that name several are no reason to refuse."""
        base = stacks.file.parent / "base"
        shutil.copytree(stacks.shops["web"].source, base)
        stacks.shops["web"].edit("orders", "routing.yml", 'path: "/orders"', 'path: "/orders2"')
        for more in (("--source", stacks.shops["web"].source), ("--target", "web")):
            ended = stacks.run("diff", *more, "--against", base, "--detailed-exitcode")
            assert (ended.code, "/orders2" in ended.out) == (2, True), ended.text
        ended = stacks.run("diff", "--against", base)
        assert (ended.code, "no folder to compare is set" in ended.err) == (78, True)
        stacks.write(manifest={"max_bytes": 10})
        assert stacks.run("diff", "--source", base, "--against", base).code == 65

    @pytest.mark.parametrize("verb", ["history", "events"])
    def test_what_was_done(self, stacks: Stacks, verb: str) -> None:
        stacks.once()
        ended = stacks.run(verb, "--output", "json")
        assert (ended.json["schema"], codes(ended)) == (
            f"artifact-controller/{verb}-set/v1",
            {"core": 0, "edge": 0, "web": 0},
        )
        assert all(row["result"]["rows"] for row in ended.json["targets"])
        assert stacks.run(verb, "--target", "web").out.count("target web") == 0

    def test_doctor_looks_at_each(self, stacks: Stacks) -> None:
        stacks.shops["web"].manifest.write_text("a: [")
        ended = stacks.run("doctor", "--skip-images", "--output", "json")
        assert ended.code == 1
        checks = ended.json["checks"]
        assert [each["name"] for each in checks if "target" not in each] == ["python", "yaml", "settings"]
        assert {each["target"] for each in checks if "target" in each} == set(NAMES)
        assert [each["target"] for each in checks if each["status"] == "FAIL"] == ["web"]
        assert "FAIL web: source: " in stacks.run("doctor", "--skip-images").out
        assert stacks.run("doctor", "--target", "core", "--skip-images").code == 0
        assert stacks.run("doctor", "--target", "x").code == errors.USAGE


class TestSteering:
    """Commands that stop and undo."""

    def test_suspend_and_resume_all(self, stacks: Stacks) -> None:
        stacks.once()
        ended = stacks.run("suspend", "--reason", "a test", "--output", "json")
        assert codes(ended) == {"core": 0, "edge": 0, "web": 0}
        assert ended.json["targets"][1]["result"]["reason"] == "a test"
        ended = stacks.once("--output", "json")
        assert (ended.code, codes(ended)) == (77, {"core": 77, "edge": 69, "web": 77})
        assert stacks.run("resume").out.count("suspension lifted") == 3
        assert stacks.once().code == 0

    def test_suspend_one(self, stacks: Stacks) -> None:
        stacks.once()
        assert stacks.run("suspend", "--reason", "a test", "--target", "web").out == (
            "suspended until resumed: a test\n"
        )
        assert codes(stacks.once("--output", "json")) == {"core": 0, "edge": 0, "web": 77}

    def test_rollback_is_of_one(self, stacks: Stacks) -> None:
        stacks.once()
        ended = stacks.run("rollback")
        assert (ended.code, "choose it with --target, one of core, edge, web" in ended.err) == (errors.USAGE, True)
        assert stacks.run("rollback", "--target", "web", "--target", "core").code == errors.USAGE
        stacks.shops["web"].edit("orders", "routing.yml", 'path: "/orders"', 'path: "/orders2"')
        stacks.once()
        assert stacks.run("rollback", "--target", "web").code == 0
        assert codes(stacks.once("--output", "json")) == {"core": 0, "edge": 0, "web": 77}

    @pytest.mark.parametrize("verb", ["probe", "provision"])
    def test_what_is_about_one_stack_needs_one_target(self, stacks: Stacks, verb: str) -> None:
        ended = stacks.run(verb, "--project", "shop")
        assert (ended.code, "one of core, edge, web" in ended.err) == (errors.USAGE, True)

    def test_manifest_validate_reads_what_all_share(self, stacks: Stacks) -> None:
        stacks.write(manifest={"max_bytes": 10})
        ended = stacks.run("manifest", "validate", stacks.shops["web"].manifest)
        assert ended.code == 65


class TestWorst:
    """The exit code of several."""

    def test_every_code_has_its_place(self) -> None:
        every = {meaning.exit_code for meaning in errors.MEANINGS.values()} | {errors.OK, errors.DIFFERENCES}
        assert {errors.worst([code]) for code in every} == every

    @pytest.mark.parametrize(
        ("codes_of", "wanted"),
        [
            ((), 0),
            ((0, 0), 0),
            ((0, 2, 0), 2),
            ((2, 75, 0), 75),
            ((69, 75), 75),
            ((65, 69), 65),
            ((80, 65), 80),
            ((78, 82), 78),
            ((70, 78), 70),
        ],
    )
    def test_worst(self, codes_of: tuple[int, ...], wanted: int) -> None:
        assert errors.worst(codes_of) == errors.worst(codes_of[::-1]) == wanted

    def test_the_document_has_the_same_order(self) -> None:
        text = (command.ROOT / "docs" / "exit-codes.md").read_text()
        told = text.partition("From the worst: ")[2].partition(":")[0]
        order = [int(code) for code in told.split(", ")]
        assert sorted(order) == sorted(set(order))
        for better in range(1, len(order)):
            assert errors.worst(order[better - 1 : better + 1]) == order[better - 1], json.dumps(order)
