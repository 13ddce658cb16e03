"""A repository that is followed by a controller that stays, on a real stack: a push is live without another command,
and what is not signed, goes back or cannot be had changes nothing (faults.md C1, C7, E3, E7, I6)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness import daemon, followed, git_remote, marked, watch
from tests.fakes import daemons

LONG = {
    "CONTROLLER_INTERVAL": "1h",
    "CONTROLLER_RESCAN": "1h",
    "CONTROLLER_RETRY__FIRST": "1h",
    "CONTROLLER_RETRY__LONGEST": "1h",
}
"""Nothing but what the test does wakes the loop."""


@pytest.fixture(scope="module")
def follows(repository: followed.Followed) -> followed.Followed:
    """The stack, and a repository that it follows through all of this module."""
    return repository


@pytest.fixture
def staying(follows: followed.Followed) -> Iterator[daemon.Following]:
    """A controller that has converged, and that only the test wakes."""
    follows.configure()
    with daemon.following(follows.controller, *follows.options, env=LONG) as controller:
        controller.await_ready()
        assert controller.passes[-1]["failed"] is False
        follows.repository.asked()
        yield controller


def next_marks(follows: followed.Followed) -> int:
    """A mark that was never shown."""
    return follows.shown.function + 1


def test_a_signed_push_is_served(follows: followed.Followed, staying: daemon.Following) -> None:
    """Push over http, webhook, and a request gets the new answer. The seconds are printed by phase."""
    follows.artifact.code("hello", "echo pushed and signed")
    commit = follows.repository.push()
    told = staying.look()
    print(daemon.told(told))
    assert (told["reason"], told["commit"], told["causes"]) == ("SourceChanged", commit, ["webhook"])
    assert told["images_built"] == 1
    assert {"fetch", "probe", "images", "build", "push", "publish", "record"} <= set(told["phases"])
    assert told["changed_to_published_s"] > 0
    assert follows.answer("pushed and signed") == "pushed and signed"


def test_a_hook_is_answered_by_one_look_and_one_fetch(follows: followed.Followed, staying: daemon.Following) -> None:
    """I6: the delivery's run says what became of the push; a delivery without one costs a single call."""
    mark, published = next_marks(follows), staying.metric("changed_to_published_seconds_count")
    for _ in range(3):
        commit = follows.push(mark=mark, table=follows.shown.table)
        told = staying.look()
        print(daemon.told(told))
        assert (told["reason"], told["commit"], follows.shown.function) == ("SourceChanged", commit, mark)
        assert follows.repository.asked() == git_remote.LS_REMOTE_AND_FETCH
        mark += 1
    assert staying.look()["reason"] == "InSync"
    assert follows.repository.asked() == git_remote.LS_REMOTE
    assert staying.metric("changed_to_published_seconds_count") == published + 3
    assert staying.metric("webhook_deliveries_total", result="accepted") == 4


@pytest.mark.parametrize("signed_by", [git_remote.NOBODY, git_remote.STRANGER], ids=["unsigned", "by a stranger"])
def test_a_commit_that_is_not_signed_as_required(
    follows: followed.Followed, staying: daemon.Following, signed_by: str
) -> None:
    """E7: refused, the old set stays live; a signed one on top of it is live at once."""
    mark, before = next_marks(follows), watch.documents(follows.config_dir)
    marked.write(follows.artifact, mark=mark, table=follows.shown.table)
    commit = follows.repository.push(signed_by=signed_by)
    told = staying.look()
    assert (told["reason"], told["failed"]) == ("SourceUntrusted", True)
    assert commit in str(told["message"])
    assert watch.documents(follows.config_dir) == before
    assert staying.metric("condition", type="SourceReady", status="False") == 1
    commit = follows.repository.push()
    told = staying.look()
    assert (told["reason"], told["commit"], follows.shown.function) == ("SourceChanged", commit, mark)
    assert staying.metric("condition", type="SourceReady", status="True") == 1


def test_a_forced_push_to_an_older_commit(follows: followed.Followed, staying: daemon.Following) -> None:
    """E3: it is signed, and yet it is refused, until somebody names it."""
    older, mark = follows.repository.head, next_marks(follows)
    newer = follows.push(mark=mark, table=follows.shown.table)
    assert staying.look()["commit"] == newer
    follows.repository.rewind(older)
    told = staying.look()
    assert (told["reason"], told["failed"]) == ("SourceRewound", True)
    assert older in str(told["message"])
    assert follows.shown.function == mark
    follows.configure(accept=older)
    seen = len(staying.lines)
    staying.signal(signal.SIGHUP)
    line = staying.await_pass(since=seen)
    assert (line["reason"], line["commit"], line["causes"]) == ("SourceChanged", older, ["settings", "start"])
    assert follows.shown.function == mark - 1
    follows.configure()
    seen = len(staying.lines)
    staying.signal(signal.SIGHUP)
    assert staying.await_pass(since=seen)["reason"] == "InSync", "it is the newest that was applied now"


def test_the_remote_is_away_for_a_while(follows: followed.Followed, staying: daemon.Following) -> None:
    """C1: told, nothing is touched, and the first look after its return brings what was pushed meanwhile."""
    before = watch.tree(follows.config_dir)
    follows.repository.go_away()
    try:
        assert staying.look()["reason"] == "SourceUnavailable"
        assert staying.look()["failed"] is True
        assert watch.tree(follows.config_dir) == before
        assert staying.metric("condition", type="SourceReady", status="False") == 1
        assert staying.http.get("/healthz").status == 200
        assert follows.answer(serves(follows)) == serves(follows)
    finally:
        follows.repository.come_back()
    mark = next_marks(follows)
    commit = follows.push(mark=mark, table=follows.shown.table)
    told = staying.look()
    assert (told["reason"], told["commit"], follows.shown.function) == ("SourceChanged", commit, mark)
    assert staying.metric("condition", type="SourceReady", status="True") == 1


def test_drift_is_healed_while_the_remote_is_away(follows: followed.Followed, staying: daemon.Following) -> None:
    """E2: from the last good checkout; the pass still says that the remote is away."""
    before = watch.documents(follows.config_dir)
    follows.repository.go_away()
    try:
        (follows.config_dir / "routing.yml").write_text("routes: []\n", encoding="utf-8")
        told = staying.look()
        assert (told["reason"], told["failed"], told["changed"]) == ("SourceUnavailable", True, True)
        assert watch.documents(follows.config_dir) == before
        assert follows.answer(serves(follows)) == serves(follows)
    finally:
        follows.repository.come_back()
    assert staying.look()["reason"] == "InSync"


def test_the_remote_comes_back_and_nobody_says_so(follows: followed.Followed) -> None:
    """C1: the retry alone heals it."""
    follows.push(mark=next_marks(follows), table=follows.shown.table)
    follows.repository.go_away()
    env = {**LONG, "CONTROLLER_RETRY__FIRST": "100ms", "CONTROLLER_RETRY__LONGEST": "200ms"}
    with daemon.following(follows.controller, *follows.options, env=env) as controller:
        try:
            daemons.until(lambda: len(controller.passes) >= 3)
            assert {line["reason"] for line in controller.passes} == {"SourceUnavailable"}
        finally:
            follows.repository.come_back()
        assert controller.await_pass("SourceChanged")["causes"] == ["retry"]


def test_p11_the_fix_of_a_bad_commit_does_not_wait(follows: followed.Followed, staying: daemon.Following) -> None:
    """The back-off of the bad one is an hour; the fix is the very next pass, begun by its hook and by no timer."""
    dockerfile = follows.artifact.function("hello") / "Dockerfile"
    good, before = dockerfile.read_text(encoding="utf-8"), watch.documents(follows.config_dir)
    dockerfile.write_text(f"{good}RUN --network=none false\n", encoding="utf-8")
    follows.repository.push()
    bad = staying.look()
    assert (bad["reason"], bad["failed"]) == ("ImageBuildFailed", True)
    assert bad["next_in_s"] > 3000
    again = staying.look()
    assert (again["reason"], again["failed"]) == ("Unchanged", True), "not tried again before its time, and no success"
    assert "ImageBuildFailed" in again["message"]
    assert watch.documents(follows.config_dir) == before
    follows.artifact.code("hello", "echo the fix")
    dockerfile.write_text(good, encoding="utf-8")
    commit = follows.repository.push()
    fix = staying.look()
    assert (fix["reason"], fix["commit"], fix["causes"]) == ("SourceChanged", commit, ["webhook"])
    assert [line["reason"] for line in staying.passes[-2:]] == ["ImageBuildFailed", "SourceChanged"]
    assert "retry" not in {cause for line in staying.passes for cause in line["causes"]}
    assert follows.answer("the fix") == "the fix"


def test_c7_a_commit_beside_the_path(follows: followed.Followed, staying: daemon.Following) -> None:
    """Content decides, not the head: nothing is written below CONFIG_DIR, and the pass says that all is in sync."""
    before = watch.tree(follows.config_dir)
    (follows.repository.work / "README.md").write_text("beside the path\n", encoding="utf-8")
    commit = follows.repository.push()
    told = staying.look()
    assert (told["reason"], told["changed"], told["commit"]) == ("InSync", False, commit)
    assert watch.tree(follows.config_dir) == before
    assert staying.look()["reason"] == "InSync"
    assert follows.repository.asked() == (3, 4), "two looks and one fetch"


def serves(follows: followed.Followed) -> str:
    """What the function's code says."""
    handler: Path = follows.artifact.function("hello") / "src" / "handler.sh"
    return handler.read_text(encoding="utf-8").strip().removeprefix("echo ").strip("'\"")
