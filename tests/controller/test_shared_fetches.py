"""One question to a remote for all targets of a process that follow it (faults.md E2, E3, E8, P10, P13)."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller import cancellation, errors, pulse, settings, settings_sources, worker
from controller.sources import git, shared_fetches
from core import git_refs
from tests.fakes import command, git_server, loops, tools

REMOTE, REF = "remote", "main"


def _answer(number: int) -> git_refs.Remote:
    return git_refs.Remote("refs/heads/main", f"{number:040x}", f"{number:040x}")


@dataclass
class Follows:
    """A target's part, on a clock that stands still."""

    shared: shared_fetches.SharedFetches
    asked_s: float = 0.0
    woken: int = 0
    answers: list[git_refs.Remote | errors.ControllerError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.member = self.shared.member(wanted=self._wake, asked_s=lambda: self.asked_s)
        self.member.patience = shared_fetches.Patience(10.0, lambda failures: 10.0 * 2 ** (failures - 1))

    def _wake(self) -> None:
        self.woken += 1

    def look(self, *answers: git_refs.Remote | errors.ControllerError) -> str:
        """What a look comes to know: the commit or the reason, with "asked" when the remote was asked."""
        waiting = list(answers)

        def ask() -> git_refs.Remote:
            answer = waiting.pop(0)
            if isinstance(answer, errors.ControllerError):
                raise answer
            return answer

        try:
            seen = self.member.resolve(REMOTE, REF, ask).commit[-1]
            self.member.answered(REMOTE)
        except errors.ControllerError as error:
            self.member.failed(REMOTE, error)
            seen = error.reason
        return f"{seen} asked" if len(waiting) < len(answers) else seen


@dataclass
class Two:
    """Two targets of one remote."""

    machine: loops.FakeClock = field(default_factory=loops.FakeClock)

    def __post_init__(self) -> None:
        self.shared = shared_fetches.SharedFetches(self.machine)  # type: ignore[arg-type]  # a clock by its methods
        self.one, self.other = Follows(self.shared), Follows(self.shared)


@pytest.fixture
def two() -> Two:
    return Two()


def _away(wish_s: float = 0.0) -> errors.ControllerError:
    error = errors.ControllerError("SourceUnavailable", "no answer")
    error.retry_after_s = wish_s
    return error


def test_a_young_answer_serves_a_look_that_nobody_asked_for(two: Two) -> None:
    assert two.one.look(_answer(1)) == "1 asked"
    two.machine.now += 9.9
    assert two.other.look(_answer(2)) == "1"
    two.machine.now += 0.1
    assert two.other.look(_answer(2)) == "2 asked"


def test_p10_who_was_asked_for_a_look_takes_no_answer_from_before(two: Two) -> None:
    assert two.one.look(_answer(1)) == "1 asked"
    two.machine.now += 1
    two.other.asked_s = two.machine.now
    assert two.other.look(_answer(2)) == "2 asked"
    assert two.one.look(_answer(3)) == "2"


def test_what_one_finds_new_wakes_the_others_once(two: Two) -> None:
    for each in (two.one, two.other):
        assert each.look(_answer(1)).startswith("1")
    two.machine.now += 20
    assert two.one.look(_answer(2)) == "2 asked"
    assert (two.one.woken, two.other.woken) == (0, 1)
    assert two.other.look(_answer(3)) == "2", "the word of another is no wish for something newer"
    assert (two.one.woken, two.other.woken) == (0, 1)


def test_e2_a_remote_that_is_away_is_left_alone_by_all(two: Two) -> None:
    """By growing waits, which a success ends."""
    expected = {0: "SourceUnavailable asked", 8: "SourceUnavailable asked", 24: "SourceUnavailable asked"}
    for second in range(0, 50, 4):
        seen = [each.look(_away()) for each in (two.one, two.other)]
        assert seen == [expected.get(second, "SourceUnavailable"), "SourceUnavailable"], second
        two.machine.now += 4
    two.machine.now += 100
    assert two.other.look(_answer(1)) == "1 asked"
    two.machine.now += 20
    assert two.one.look(_away()) == "SourceUnavailable asked"
    two.machine.now += 8
    assert two.one.look(_answer(2)) == "2 asked"


def test_e2_that_a_remote_is_back_is_news_for_all(two: Two) -> None:
    for each in (two.one, two.other):
        assert each.look(_answer(1)).startswith("1")
    two.machine.now += 20
    assert two.one.look(_away()) == "SourceUnavailable asked"
    two.machine.now += 8
    assert (two.one.look(_answer(1)), two.other.woken) == ("1 asked", 1)
    two.machine.now += 20
    assert (two.one.look(_answer(1)), two.other.woken) == ("1 asked", 1)


def test_e2_who_was_asked_goes_through_a_back_off_but_not_through_a_wish(two: Two) -> None:
    assert two.one.look(_away()) == "SourceUnavailable asked"
    two.machine.now += 1
    two.other.asked_s = two.machine.now
    assert two.other.look(_away(wish_s=100.0)) == "SourceUnavailable asked"
    two.machine.now += 99
    two.one.asked_s = two.machine.now
    assert two.one.look(_answer(1)) == "SourceUnavailable"
    two.machine.now += 1
    assert two.one.look(_answer(1)) == "1 asked"


def test_a_target_without_others_is_never_told_what_was(two: Two) -> None:
    """A single command asks, whatever it asked before."""
    alone = two.shared.member()
    assert [alone.resolve(REMOTE, REF, answer) for answer in (lambda: _answer(1), lambda: _answer(2))] == [
        _answer(1),
        _answer(2),
    ]


# With a real remote


@dataclass
class Stack:
    """A remote with the sample shop, and targets in one process that follow it."""

    folder: Path
    server: git_server.GitServer
    author: git_server.Author
    shared: shared_fetches.SharedFetches = field(default_factory=shared_fetches.SharedFetches)

    def target(self, name: str, woken: Callable[[], object] = lambda: None, **git_more: Any) -> worker.Worker:
        """A target of its own, that nobody ever asks for a look."""
        given = {"url": self.server.url("shop.git"), **git_more}
        place = self.folder / name
        configured = settings.load(
            None,
            {
                ("source",): {"git": given},
                ("config_dir",): place / "config",
                ("state_dir",): place,
                ("clones_dir",): self.folder / "clones",
            },
        )
        place.mkdir(exist_ok=True)
        member = self.shared.member(wanted=woken, asked_s=lambda: float("-inf"))
        return worker.Worker(configured, pulse.Pulse(), cancellation.Cancellation(), shared=member)

    def asked(self) -> int:
        """How many calls of git the remote has seen since the last time: each begins with its refs."""
        seen = [one for one in self.server.requests if one.startswith("GET ")]
        self.server.requests.clear()
        return len(seen)

    def push(self, old: str, new: str) -> str:
        """A commit; its id."""
        command.replace_text(self.author.folder / "orders" / "config" / "functions.yml", old, new)
        return self.author.publish()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    tools.require("git", "ssh-keygen")
    with git_server.published(tmp_path, command.SAMPLE) as (server, author):
        yield Stack(tmp_path, server, author)


def test_many_targets_of_one_source_ask_once_and_fetch_once(stack: Stack) -> None:
    targets = [stack.target(f"t{number}") for number in range(5)]
    assert not targets[0].converge().report.failed
    assert stack.asked() == 2, "one asks for the refs, and one for the pack"
    for one in targets[1:]:
        ended = one.converge()
        assert not ended.report.failed, ended.report
    assert stack.asked() == 0
    assert len(list((stack.folder / "clones").glob("*/mirror.git"))) == 1
    assert len(list((stack.folder / "clones").glob("*/checkouts/*.whole"))) == 1
    floors = {(stack.folder / f"t{number}" / "source" / "applied").read_text() for number in range(5)}
    assert len(floors) == 1


def test_looks_at_the_same_time_are_one(stack: Stack) -> None:
    targets = [stack.target(f"t{number}") for number in range(4)]
    threads = [threading.Thread(target=one.look) for one in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stack.asked() == 2, "one asks for the refs, and one for the pack"


def test_e2_a_remote_that_is_away_costs_many_targets_one_question(stack: Stack) -> None:
    """Each goes on with the last good checkout."""
    targets = [stack.target(f"t{number}") for number in range(3)]
    for one in targets:
        assert not one.converge().report.failed
    stack.server.faults.status = 503
    stack.shared = shared_fetches.SharedFetches()
    again = [stack.target(f"t{number}") for number in range(3)]
    stack.asked()
    ended = [one.converge() for one in again]
    assert {one.report.reason for one in ended} == {"SourceUnavailable"}
    assert all(one.served for one in ended)
    assert stack.asked() == 1
    seen = [one.look() for one in again]
    assert all(one.away and one.good and one.subject == ended[0].subject for one in seen)
    assert stack.asked() == 0


def test_e3_an_answer_from_before_somebody_else_went_on_is_no_rewound_remote(stack: Stack) -> None:
    """Another process has applied a newer commit of this target meanwhile: the remote is asked again."""
    target = stack.target("a")
    assert not target.converge().report.failed
    newer = stack.push("memory_size: 256", "memory_size: 512")
    elsewhere = _repository(stack, "a", stack.server.url("shop.git"))
    assert elsewhere.fetch("").commit == newer
    elsewhere.applied(newer)
    ended = target.converge()
    assert (ended.report.reason, ended.commit) == ("SourceChanged", newer)


@pytest.mark.process
def test_one_command_for_many_targets_asks_once(stack: Stack) -> None:
    """They work side by side, each with waits of its own: by the hours of this machine, in a child."""
    file = stack.folder / "controller.yml"
    names = [f"t{number}" for number in range(3)]
    (stack.folder / "state").mkdir()
    url = stack.server.url("shop.git")
    file.write_text(
        json.dumps(
            {
                "source": {"git": {"url": url}},
                "state_dir": "state",
                "targets": {name: {"config_dir": name} for name in names},
            }
        )
    )
    ended = command.child("reconcile", "--once", "--config", file)
    assert ended.code == 0, ended.text
    assert stack.asked() == 2, "one asks for the refs, and one for the pack"
    assert command.child("reconcile", "--once", "--config", file).code == 0
    assert stack.asked() == 1


def test_targets_with_different_rules_do_not_take_turns(stack: Stack) -> None:
    first, second = stack.target("a"), stack.target("b", max_files=1000)
    for one in (first, second, first, second):
        assert not one.converge().report.failed
    clone = next((stack.folder / "clones").glob("*/mirror.git")).parent
    memos = {place.name: place.stat().st_mtime_ns for place in clone.glob("known-*.json")}
    assert len(memos) == 2
    for one in (first, second):
        one.converge()
    assert {place.name: place.stat().st_mtime_ns for place in clone.glob("known-*.json")} == memos


def _repository(stack: Stack, target: str, url: str, **more: Any) -> git.Repository:
    place = stack.folder / target
    place.mkdir(exist_ok=True)
    return git.Repository(
        settings_sources.GitSource(url=url, **more),
        stack.folder / "clones",
        deadline_s=60.0,
        floor=place / "source" / "applied",
    )


def test_e8_a_clone_goes_with_the_last_target_that_follows_it(stack: Stack) -> None:
    """And a memo with the last that uses its rules."""
    other = git_server.Author(stack.folder / "work2", stack.folder / "remote" / "other.git")
    (other.folder / "file").write_text("x")
    other.publish()
    shop_url, other_url = stack.server.url("shop.git"), stack.server.url("other.git")
    clones = stack.folder / "clones"
    for target in ("a", "b"):
        _repository(stack, target, shop_url).fetch("")
    assert len(list(clones.glob("*/mirror.git"))) == 1
    _repository(stack, "a", other_url).fetch("")
    assert len(list(clones.glob("*/mirror.git"))) == 2, "b still follows it"
    _repository(stack, "b", other_url).fetch("")
    assert len(list(clones.glob("*/mirror.git"))) == 2, "nothing was taken, so nothing was tidied up"
    other.publish()
    _repository(stack, "b", other_url).fetch("")
    assert [place.parent.name for place in clones.glob("*/mirror.git")] == [git._clone_of(_source(other_url))]
    _repository(stack, "a", other_url, max_files=7).fetch("")
    other.publish()
    for more in ({}, {"max_files": 9}):
        _repository(stack, "b" if not more else "a", other_url, **more).fetch("")
    assert len(list(clones.glob("*/known-*.json"))) == 2


def test_e8_a_target_that_is_gone_keeps_nothing(stack: Stack) -> None:
    """Its state directory is no more; nobody has to tell."""
    url = stack.server.url("shop.git")
    for target, more in (("a", {}), ("b", {"max_files": 7})):
        _repository(stack, target, url, **more).fetch("")
    clone = next((stack.folder / "clones").glob("*/mirror.git")).parent
    assert len(list(clone.glob("known-*.json"))) == 2
    shutil.rmtree(stack.folder / "b")
    stack.push("memory_size: 256", "memory_size: 512")
    _repository(stack, "a", url).fetch("")
    assert len(list(clone.glob("known-*.json"))) == 1


def _source(url: str) -> settings_sources.GitSource:
    return settings_sources.GitSource(url=url)


def test_e3_each_target_keeps_its_own_floor(stack: Stack) -> None:
    """A target that has applied the newer commit refuses the older one, which another may still take."""
    url = stack.server.url("shop.git")
    old = stack.author.git("rev-parse", "HEAD").strip()
    ahead, behind = _repository(stack, "a", url), _repository(stack, "b", url)
    new = stack.push("memory_size: 256", "memory_size: 512")
    assert ahead.fetch("").commit == new
    ahead.applied(new)
    stack.author.git("push", "--quiet", "--force", "origin", f"{old}:refs/heads/main")
    with pytest.raises(errors.ControllerError, match="no descendant") as refused:
        ahead.fetch("")
    assert refused.value.reason == "SourceRewound"
    assert behind.fetch("").commit == old
    with pytest.raises(errors.ControllerError, match="no descendant"):
        ahead.fetch("")


def test_p13_no_memo_tells_a_password_and_other_credentials_have_their_own(stack: Stack) -> None:
    url = stack.server.url("shop.git")
    given = settings_sources.GitSource(url=url, username="u", password="battery-staple")  # type: ignore[arg-type]  # as text
    other = settings_sources.GitSource(url=url, username="v", password="battery-staple")  # type: ignore[arg-type]  # as text
    same = settings_sources.GitSource(url=url, username="u", password="another one")  # type: ignore[arg-type]  # as text
    rules = [git._rules_of(one) for one in (given, other, same)]
    assert rules[0] != rules[1]
    assert rules[0] == rules[2], "a digest of a password could be guessed"
