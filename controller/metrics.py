"""What is counted and measured, for Prometheus: docs/metrics.md lists it. Home of prometheus-client.

Stands beside the loop, the triggers, the webhook receiver and the notifier, which call it from their threads. Owns the
names and the values that labels may have: only those of tables of ours, so that nothing which is written elsewhere can
make a series (faults.md I3). No failure in here reaches who counts (faults.md P15).
"""

import functools
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import ParamSpec

import prometheus_client
from prometheus_client import exposition, process_collector

import controller
from controller import errors
from core import conditions, outcomes

OTHER = "other"
"""Stands for every value that no table has."""

OUTCOMES = frozenset({*map(str, outcomes.Outcome), *errors.MEANINGS})
PHASES = ("lock", "fetch", "probe", "images", "read", "build", "push", "publish", "provision", "record")
CONDITIONS = conditions.TYPES
STATUSES = ("True", "False", "Unknown")
SOURCES = ("directory", "git")
MODES = ("events", "polling", "deaf", "off")
DELIVERIES = (
    *("accepted", "ping", "ignored", "unsigned", "refused"),
    *("limited", "too-large", "too-slow", "broken"),
)
NOTIFICATIONS = ("delivered", "failed", "dropped", "limited", "repeated")
RESULTS = ("ok", "failed")

_PHASE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_REACTION_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
_FETCH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_Parameters = ParamSpec("_Parameters")


def _harmless(counts: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """The same, without exceptions."""

    @functools.wraps(counts)
    def counted(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> None:
        with suppress(Exception):
            counts(*arguments, **named)

    return counted


class Metrics:
    """Of one process, in a registry of its own. Every method may be called from any thread and raises nothing."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it
        self._registry = prometheus_client.CollectorRegistry()
        self._now_s = now_s
        process_collector.ProcessCollector(registry=self._registry)
        versions = {"version": controller.__version__, "python": platform.python_version()}
        self._gauge("build_info", "Always 1; the labels say what runs.", *versions).labels(**versions).set(1)
        self._of_passes()
        self._of_triggers()
        self._of_others()

    def _of_passes(self) -> None:
        self._passes = self._counter("passes", "Passes, by their outcome or the reason of their failure.", "outcome")
        self._results = self._counter("pass_results", "Passes, by whether they failed.", "result")
        self._phases = self._histogram("phase_seconds", "How long a phase of a pass took.", _PHASE_BUCKETS, "phase")
        self._last_pass = self._gauge("last_pass_timestamp_seconds", "When the last pass ended.")
        self._last_success = self._gauge(
            "last_success_timestamp_seconds", "When a pass last ended without failure; 0 before the first."
        )
        self._reaction = self._histogram(
            "changed_to_published_seconds", "From the first word of new content to its publication.", _REACTION_BUCKETS
        )
        self._drift = self._counter("drifted_passes", "Passes that found CONFIG_DIR or an image changed by others.")
        self._images = self._counter("images_built", "Images built.")
        self._provisioner = self._counter("provisioner_runs", "Runs of the provisioner.", "result")
        self._conditions = self._gauge("condition", "1 for the status that a condition has.", "type", "status")
        self._suspended = self._gauge("suspended", "1 while the target is suspended.")
        for result in RESULTS:
            self._results.labels(result)
            self._provisioner.labels(result)

    def _of_triggers(self) -> None:
        self._fetches = self._counter("source_fetches", "Readings of the source.", "source", "result")
        self._fetch_s = self._histogram(
            "source_fetch_seconds", "How long a reading of the source took.", _FETCH_BUCKETS, "source"
        )
        self._events = self._counter("watch_events", "File events that asked for a look.")
        self._watch_errors = self._counter("watch_errors", "Failures of the listening to file events.")
        self._missed = self._counter("watch_missed", "Changes that a look found and no event had told of.")
        self._watching = self._gauge("watching", "1 for the way in which file events are heard of.", "mode")
        for mode in MODES:
            self._watching.labels(mode)

    def _of_others(self) -> None:
        self._webhooks = self._counter("webhook_deliveries", "Webhook deliveries, by what they came to.", "result")
        self._notifications = self._counter("notifications", "Notifications, by what became of them.", "result")
        for result in DELIVERIES:
            self._webhooks.labels(result)
        for result in NOTIFICATIONS:
            self._notifications.labels(result)

    def _counter(self, name: str, text: str, *labels: str) -> prometheus_client.Counter:
        return prometheus_client.Counter(f"artifact_controller_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f"artifact_controller_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> prometheus_client.Histogram:
        full_name = f"artifact_controller_{name}"
        return prometheus_client.Histogram(full_name, text, labels, registry=self._registry, buckets=buckets)

    @_harmless
    def pass_ended(  # noqa: PLR0913 - the facts of a pass, by name
        self,
        *,
        outcome: str,
        failed: bool,
        phases: Mapping[str, float],
        changed_to_published_s: float | None,
        images_built: int,
        drift: bool,
    ) -> None:
        """A pass is over. `outcome` is a code of docs/reasons.md or docs/exit-codes.md; times are seconds."""
        now_s = self._now_s()
        self._passes.labels(outcome if outcome in OUTCOMES else OTHER).inc()
        self._results.labels(_result(not failed)).inc()
        self._last_pass.set(now_s)
        if not failed:
            self._last_success.set(now_s)
        if drift:
            self._drift.inc()
        self._images.inc(images_built)
        if changed_to_published_s is not None:
            self._reaction.observe(changed_to_published_s)
        for name, seconds in phases.items():
            self._phases.labels(_one_of(PHASES, name)).observe(seconds)

    @_harmless
    def condition(self, type_: str, status: str) -> None:
        """A condition has this status now. Types and statuses that nobody knows are not shown."""
        if type_ in CONDITIONS and status in STATUSES:
            for one in STATUSES:
                self._conditions.labels(type_, one).set(one == status)

    @_harmless
    def provisioner_run(self, ok: bool) -> None:
        """The provisioner ran."""
        self._provisioner.labels(_result(ok)).inc()

    @_harmless
    def fetched(self, source: str, ok: bool, seconds: float) -> None:
        """The source was read; `source` is directory or git."""
        self._fetches.labels(_one_of(SOURCES, source), _result(ok)).inc()
        self._fetch_s.labels(_one_of(SOURCES, source)).observe(seconds)

    @_harmless
    def watch_event(self) -> None:
        """File events asked for a look."""
        self._events.inc()

    @_harmless
    def watch_error(self) -> None:
        """The listening to file events failed."""
        self._watch_errors.inc()

    @_harmless
    def watch_missed(self) -> None:
        """A look found what no event had told of (faults.md P10)."""
        self._missed.inc()

    @_harmless
    def watching(self, mode: str) -> None:
        """How file events are heard of from now on: one of `MODES`."""
        for one in MODES:
            self._watching.labels(one).set(one == mode)

    @_harmless
    def webhook(self, result: str) -> None:
        """A webhook delivery came to this."""
        self._webhooks.labels(_one_of(DELIVERIES, result)).inc()

    @_harmless
    def notification(self, result: str) -> None:
        """A notification came to this."""
        self._notifications.labels(_one_of(NOTIFICATIONS, result)).inc()

    @_harmless
    def suspended(self, suspended: bool) -> None:
        """Whether the target is suspended."""
        self._suspended.set(suspended)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format 0.0.4."""
        return exposition.generate_latest(self._registry)

    def families(self) -> Mapping[str, str]:
        """The type of each metric by its name, as docs/metrics.md lists them."""
        return {_full_name(family.name, family.type): family.type for family in self._registry.collect()}


def _full_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def _one_of(known: tuple[str, ...], value: str) -> str:
    return value if value in known else OTHER


def _result(ok: bool) -> str:
    return RESULTS[0] if ok else RESULTS[1]
