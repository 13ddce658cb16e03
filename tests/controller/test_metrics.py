"""docs/metrics.md is what the program counts; labels are bounded (I3); no failure reaches who counts (P15)."""

import re
import threading
from typing import Any

import pytest

from controller import errors, metrics, notify, timing, triggers
from core import conditions, outcomes
from tests.fakes import command, web


def counted(now_s: float = 1_800_000_000.0) -> metrics.Metrics:
    return metrics.Metrics(lambda: now_s)


def value(found: metrics.Metrics, name: str, target: str | None = "one") -> float:
    """One value of a target, of the process where it is None."""
    series, _, labels = name.partition("{")
    told = {*re.findall(r'\w+="[^"]*"', labels), *([f'target="{target}"'] if target else [])}
    return web.sample(found, f"artifact_controller_{series}{{{','.join(sorted(told))}}}")


def everything(found: metrics.Metrics, word: str) -> None:
    """Call every method, with `word` wherever one is taken."""
    one = found.of("one")
    one.pass_ended(metrics.Pass(word, False, {word: 1.0}, 0.1, 1, True))
    one.condition(word, word)
    one.provisioner_run(True)
    one.fetched(word, False, 1.0)
    one.watch_event()
    one.watch_error()
    one.watch_missed()
    one.watching(word)
    one.suspended(True)
    found.webhook(word)
    found.notification(word)


def test_the_page_lists_every_metric_with_its_type_and_labels() -> None:
    text = (command.ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    found = counted()
    everything(found, "x")
    found.of("one").condition("Ready", "True")
    assert {name: kind for name, kind, _ in rows} == dict(found.families())
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    for line in found.text().decode().splitlines():
        if not line.startswith("#"):
            series, _, labels = line.rpartition(" ")[0].partition("{")
            name = next(each for each in (series, re.sub(r"_(bucket|sum|count)$", "", series)) if each in documented)
            assert set(re.findall(r"(\w+)=", labels)) - {"le"} == documented[name], line


def test_a_pass_that_succeeded_and_one_that_failed() -> None:
    found = counted()
    assert value(found, "last_success_timestamp_seconds") == 0
    found.of("one").pass_ended(metrics.Pass("SourceChanged", False, {"read": 0.2, "publish": 0.02}, 0.12, 2))
    found.of("one").pass_ended(metrics.Pass("NoManifest", True))
    assert value(found, 'passes_total{outcome="SourceChanged"}') == 1
    assert value(found, 'passes_total{outcome="NoManifest"}') == 1
    assert value(found, 'pass_results_total{result="ok"}') == value(found, 'pass_results_total{result="failed"}') == 1
    assert value(found, "images_built_total") == 2
    assert value(found, "drifted_passes_total") == 0
    assert value(found, "changed_to_published_seconds_count") == 1
    assert value(found, 'changed_to_published_seconds_bucket{le="0.1"}') == 0
    assert value(found, 'changed_to_published_seconds_bucket{le="0.15"}') == 1
    assert value(found, 'phase_seconds_sum{phase="read"}') == 0.2
    assert value(found, "last_success_timestamp_seconds") == value(found, "last_pass_timestamp_seconds") == 1.8e9


def test_a_failure_moves_the_time_of_the_last_pass_only() -> None:
    found = counted()
    found.of("one").pass_ended(metrics.Pass("Bug", True, drift=True))
    assert value(found, "last_success_timestamp_seconds") == 0
    assert value(found, "last_pass_timestamp_seconds") == 1.8e9
    assert value(found, "drifted_passes_total") == 1


def test_one_status_of_a_condition_and_one_mode_at_a_time() -> None:
    found = counted()
    for status in ("False", "True"):
        found.of("one").condition("Ready", status)
    for mode in ("polling", "events"):
        found.of("one").watching(mode)
    shown = [value(found, f'condition{{status="{one}",type="Ready"}}') for one in metrics.STATUSES]
    assert shown == [1, 0, 0]
    assert [value(found, f'watching{{mode="{one}"}}') for one in metrics.MODES] == [1, 0, 0, 0]
    found.of("one").suspended(True)
    assert value(found, "suspended") == 1
    found.of("one").suspended(False)
    assert value(found, "suspended") == 0


def test_what_the_triggers_and_the_source_tell() -> None:
    found = counted()
    everything(found, "git")
    found.of("one").fetched("git", True, 2.0)
    for name in (
        "watch_events_total",
        "watch_errors_total",
        "watch_missed_total",
        'provisioner_runs_total{result="ok"}',
    ):
        assert value(found, name) == 1
    assert value(found, 'source_fetches_total{result="failed",source="git"}') == 1
    assert value(found, 'source_fetches_total{result="ok",source="git"}') == 1
    assert value(found, 'source_fetch_seconds_sum{source="git"}') == 3


def test_i3_no_word_from_outside_makes_a_series() -> None:
    """A thousand names, one series more each: `other`."""
    found = counted()
    everything(found, "first")
    before = found.text().count(b"\n")
    for number in range(1000):
        everything(found, f"fn-{number}\n\x1b<script>")
    text = found.text()
    assert text.count(b"\n") == before
    assert b"fn-" not in text
    assert b"<script" not in text
    assert value(found, 'passes_total{outcome="other"}') == 1001


def test_the_tables_are_those_of_the_program() -> None:
    assert set(map(str, outcomes.Outcome)) | set(errors.MEANINGS) == metrics.OUTCOMES
    told = conditions.after(conditions.Result(True, "InSync", "", "r"), {}, now="")
    assert tuple(told) == metrics.CONDITIONS
    assert timing.PHASES == metrics.PHASES
    assert {*map(str, triggers.Mode), "off"} == set(metrics.MODES)
    assert {"delivered", "failed", "dropped", "limited", "repeated"} == set(metrics.NOTIFICATIONS)
    assert notify.QUEUED


@pytest.mark.parametrize("wrong", [None, object(), "x"])
def test_p15_no_wrong_value_reaches_who_counts(wrong: Any) -> None:
    found = counted()
    found.of("one").pass_ended(metrics.Pass(wrong, False, {"read": wrong}, wrong, wrong))
    found.of("one").fetched("git", True, wrong)
    found.of("one").condition(wrong, wrong)
    assert b"artifact_controller_build_info" in found.text()


def test_two_in_one_process_do_not_meet() -> None:
    first, second = counted(), counted()
    first.of("one").watch_event()
    assert (value(first, "watch_events_total"), value(second, "watch_events_total")) == (1, 0)


def test_many_threads_lose_no_count() -> None:
    found = counted()

    def count() -> None:
        for _ in range(500):
            found.webhook("accepted")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(found, 'webhook_deliveries_total{result="accepted"}', None) == 4000


def test_each_target_counts_for_itself_and_goes_with_its_series() -> None:
    """Names are those that are configured; nothing else makes a target."""
    found = counted()
    found.of("one").watch_event()
    found.of("two").pass_ended(metrics.Pass("InSync"))
    found.of("two").watch_event()
    assert found.of("two") is found.of("two")
    assert [value(found, "watch_events_total", name) for name in ("one", "two")] == [1, 1]
    assert value(found, 'passes_total{outcome="InSync"}', "two") == 1
    assert value(found, 'passes_total{outcome="InSync"}', "one") == 0
    assert found.text().count(b"# TYPE artifact_controller_watch_events_total") == 1
    found.keep(["two"])
    assert b'target="one"' not in found.text()
    assert value(found, "watch_events_total", "two") == 1
