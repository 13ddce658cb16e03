"""What is counted and measured, for Prometheus: docs/metrics.md lists it. Home of prometheus-client.

Stands beside the loop, the triggers, the webhook receiver and the notifier, which call it from their threads. Owns the
names and the values that labels may have: only those of tables of ours, so that nothing which is written elsewhere can
make a series (faults.md I3); a target is labelled with its configured name, and its series go when it goes. No failure
in here reaches who counts (faults.md P15).
"""

import functools
import platform
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ParamSpec

import prometheus_client
from prometheus_client import exposition, metrics_core, process_collector, registry

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


@dataclass(frozen=True, slots=True)
class Pass:
    """The facts of a pass. `outcome` is a code of docs/reasons.md or docs/exit-codes.md; times are seconds."""

    outcome: str
    failed: bool = False
    phases: Mapping[str, float] = field(default_factory=dict)
    changed_to_published_s: float | None = None
    images_built: int = 0
    drift: bool = False


class _Family:
    """Makes metrics with our prefix in a registry of its own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()

    def counter(self, name: str, text: str, *labels: str) -> prometheus_client.Counter:
        return prometheus_client.Counter(f"artifact_controller_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f"artifact_controller_{name}", text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> prometheus_client.Histogram:
        full_name = f"artifact_controller_{name}"
        return prometheus_client.Histogram(full_name, text, labels, registry=self.registry, buckets=buckets)


class Metrics:
    """Of one process, and of each of its targets. Every method may be called from any thread; those that count raise
    nothing."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it
        self._now_s = now_s
        self._lock = threading.Lock()
        self._targets: dict[str, OfTarget] = {}
        family = _Family()
        self._registry = family.registry
        process_collector.ProcessCollector(registry=family.registry)
        versions = {"version": controller.__version__, "python": platform.python_version()}
        family.gauge("build_info", "Always 1; the labels say what runs.", *versions).labels(**versions).set(1)
        self._webhooks = family.counter("webhook_deliveries", "Webhook deliveries, by what they came to.", "result")
        self._notifications = family.counter("notifications", "Notifications, by what became of them.", "result")
        for result in DELIVERIES:
            self._webhooks.labels(result)
        for result in NOTIFICATIONS:
            self._notifications.labels(result)
        family.registry.register(_Targets(self._of_targets))

    def of(self, target: str) -> "OfTarget":
        """What is counted of one target; the same for the same name."""
        with self._lock:
            return self._targets.setdefault(target, OfTarget(self._now_s))

    def keep(self, targets: Collection[str]) -> None:
        """Forget every target that is not among these."""
        with self._lock:
            self._targets = {name: one for name, one in self._targets.items() if name in targets}

    def _of_targets(self) -> Mapping[str, prometheus_client.CollectorRegistry]:
        with self._lock:
            return {name: one.registry for name, one in self._targets.items()}

    @_harmless
    def webhook(self, result: str) -> None:
        """A webhook delivery came to this."""
        self._webhooks.labels(_one_of(DELIVERIES, result)).inc()

    @_harmless
    def notification(self, result: str) -> None:
        """A notification came to this."""
        self._notifications.labels(_one_of(NOTIFICATIONS, result)).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format 0.0.4."""
        return exposition.generate_latest(self._registry)

    def families(self) -> Mapping[str, str]:
        """The type of each metric by its name, as docs/metrics.md lists them."""
        return {_full_name(family.name, family.type): family.type for family in self._registry.collect()}


class _Targets(registry.Collector):
    """The metrics of all targets as one: each sample says whose it is."""

    def __init__(self, registries: Callable[[], Mapping[str, prometheus_client.CollectorRegistry]]) -> None:
        self._registries = registries

    def collect(self) -> Iterable[metrics_core.Metric]:
        """Family by family."""
        merged: dict[str, metrics_core.Metric] = {}
        for name, kept in self._registries().items():
            for family in kept.collect():
                one = merged.setdefault(
                    family.name, metrics_core.Metric(family.name, family.documentation, family.type)
                )
                one.samples += [sample._replace(labels={**sample.labels, "target": name}) for sample in family.samples]
        return merged.values()


class OfTarget:
    """What is counted of one target. Every method may be called from any thread and raises nothing."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        family = _Family()
        self.registry = family.registry
        self._of_passes(family)
        self._of_triggers(family)

    def _of_passes(self, family: _Family) -> None:
        self._passes = family.counter("passes", "Passes, by their outcome or the reason of their failure.", "outcome")
        self._results = family.counter("pass_results", "Passes, by whether they failed.", "result")
        self._phases = family.histogram("phase_seconds", "How long a phase of a pass took.", _PHASE_BUCKETS, "phase")
        self._last_pass = family.gauge("last_pass_timestamp_seconds", "When the last pass ended.")
        self._last_success = family.gauge(
            "last_success_timestamp_seconds", "When a pass last ended without failure; 0 before the first."
        )
        self._reaction = family.histogram(
            "changed_to_published_seconds", "From the first word of new content to its publication.", _REACTION_BUCKETS
        )
        self._drift = family.counter("drifted_passes", "Passes that found CONFIG_DIR or an image changed by others.")
        self._images = family.counter("images_built", "Images built.")
        self._provisioner = family.counter("provisioner_runs", "Runs of the provisioner.", "result")
        self._conditions = family.gauge("condition", "1 for the status that a condition has.", "type", "status")
        self._suspended = family.gauge("suspended", "1 while the target is suspended.")
        for result in RESULTS:
            self._results.labels(result)
            self._provisioner.labels(result)

    def _of_triggers(self, family: _Family) -> None:
        self._fetches = family.counter("source_fetches", "Readings of the source.", "source", "result")
        self._fetch_s = family.histogram(
            "source_fetch_seconds", "How long a reading of the source took.", _FETCH_BUCKETS, "source"
        )
        self._events = family.counter("watch_events", "File events that asked for a look.")
        self._watch_errors = family.counter("watch_errors", "Failures of the listening to file events.")
        self._missed = family.counter("watch_missed", "Changes that a look found and no event had told of.")
        self._watching = family.gauge("watching", "1 for the way in which file events are heard of.", "mode")
        for mode in MODES:
            self._watching.labels(mode)

    @_harmless
    def pass_ended(self, ended: Pass) -> None:
        """A pass is over."""
        now_s = self._now_s()
        self._passes.labels(ended.outcome if ended.outcome in OUTCOMES else OTHER).inc()
        self._results.labels(_result(not ended.failed)).inc()
        self._last_pass.set(now_s)
        if not ended.failed:
            self._last_success.set(now_s)
        if ended.drift:
            self._drift.inc()
        self._images.inc(ended.images_built)
        if ended.changed_to_published_s is not None:
            self._reaction.observe(ended.changed_to_published_s)
        for name, seconds in ended.phases.items():
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
    def suspended(self, suspended: bool) -> None:
        """Whether the target is suspended."""
        self._suspended.set(suspended)


def _full_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def _one_of(known: tuple[str, ...], value: str) -> str:
    return value if value in known else OTHER


def _result(ok: bool) -> str:
    return RESULTS[0] if ok else RESULTS[1]
