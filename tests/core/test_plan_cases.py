"""Every row of the three-way table and every guard, as data: tests/cases/plan/*.yml.

A case names what the last applied set held, what CONFIG_DIR shows and what the source asks for, and what the plan must
say. An item is written ``kind name: value``; in `applied` the word `foreign` before it marks an item that was never ours.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import (
    assembly,
    compatibility,
    desired,
    diff,
    digest,
    image_inputs,
    image_work,
    items,
    notices,
    observed,
    outcomes,
    plan,
    policy,
    problems,
    record,
)
from core import situation as situations

CASES = sorted(Path(__file__).parent.parent.joinpath("cases", "plan").glob("*.yml"))


_READY = {"Ready": record.Condition("Ready", "True", "InSync", "", "", "then")}


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}-{case['name'].replace(' ', '-')}")
        for file in CASES
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def _item(text: str, value: object) -> items.Item:
    kind, _, name = text.partition(" ")
    return items.Item(items.ItemKey(items.Kind(kind), name), digest.of_value(str(value)), f"{name}: {value}\n", line=3)


def _policy(
    prune: str = "owned", publish: str = "generation", provision: str = "on-change", **switches: Any
) -> policy.Policy:
    return policy.Policy(
        prune=policy.Prune(prune),
        publish=policy.PublishMode(publish),
        provision=policy.Provision(provision),
        **switches,
    )


def _situation(case: dict[str, Any]) -> situations.Situation:
    wanted = [_item(text, value) for text, value in (case.get("desired") or {}).items()]
    if case.get("huge"):
        wanted = [replace(item, text="x" * (items.MAX_DOCUMENT_BYTES + 1)) for item in wanted]
    seen = [_item(text, value) for text, value in (case.get("observed") or {}).items()]
    applied = [
        record.AppliedItem(
            _item(text.removeprefix("foreign "), value), None if text.startswith("foreign ") else "entry-1"
        )
        for text, value in (case.get("applied") or {}).items()
    ]
    revision = case.get("revision", "sha256:new")
    digests = {document: digest.of_parts(str(document)) for document in items.Document}
    visible = "observed" in case
    shown = {items.Document(name): _bytes_of(wanted)[items.Document(name)] for name in case.get("shown", ())}
    digests |= {document: digest.of_bytes(content) for document, content in shown.items()}
    builds = tuple(("entry-1", name) for name in case.get("builds", ()))
    provisioned = case.get("provisioned", "")
    if provisioned == "wanted":
        provisioned = plan.resources_digest(
            diff.Diff((), tuple(record.AppliedItem(item, "entry-1") for item in wanted)), ""
        )
    layout = observed.Presence(case.get("layout", "link"))
    state = observed.DocumentState(layout if visible else observed.Presence.MISSING, "", 1, case.get("obstacle", ""))
    return situations.Situation(
        wanted=desired.Desired(
            revision=revision,
            items={item.key: item for item in wanted},
            provenance={item.key: desired.Provenance("entry-1", "a/functions.yml", 3) for item in wanted},
            builds=builds,
        ),
        look=observed.Observed(
            exists=True,
            documents={
                document: observed.DocumentState(
                    state.presence, digests[document] if visible else None, 1, state.obstacle
                )
                for document in items.Document
            },
            generation=case.get("generation", 1) if visible else None,
            leftovers=tuple(case.get("leftovers", ())),
        ),
        seen=observed.ObservedItems(
            {item.key: item for item in seen},
            invalid=frozenset(
                items.ItemKey(items.Kind(text.split(" ", 1)[0]), text.split(" ", 1)[1])
                for text in case.get("invalid", ())
            ),
            damaged=frozenset(items.Document(name) for name in case.get("damaged", ())),
            unreadable=frozenset(items.Document(name) for name in case.get("unreadable", ())),
            problems=(problems.Problem("functions.yml", 0, 0, "", "broken"),) if case.get("broken") else (),
        ),
        remembered=record.Record(
            applied=record.AppliedSet(
                1,
                case.get("applied_revision", "sha256:old"),
                case.get("generation", 1),
                case.get("desired_before", ""),
                digests,
                "then",
                tuple(applied),
            )
            if "applied" in case
            else None,
            pass_digest="pass",
            conditions={} if case.get("not_ready") else _READY,
            provisioned_digest=provisioned,
            doubtful_generation=case.get("doubtful"),
            holds=tuple(record.Hold(held, "bad", "then") for held in case.get("holds", ())),
            suspension=record.Suspension("me", case["suspended"], "then") if "suspended" in case else None,
        ),
        rules=_policy(**case.get("policy", {})),
        allowed=policy.Permissions(**case.get("allowed", {})),
        requirement=compatibility.Requirement("1.0", "docker", "v1") if case.get("requires_stack") else None,
        missing_secrets=tuple(case.get("missing_secrets", ())),
        pass_digest="pass",
        images=_works(case, "images"),
        made=_works(case, "made"),
        obstacles=(notices.Blocker("DockerUnavailable", "no engine"),)
        if builds and not case.get("allowed", {}).get("skip_images")
        else (),
        provisioner=bool(case.get("provisioner")),
    )


def _bytes_of(wanted: list[items.Item]) -> Mapping[items.Document, bytes]:
    return assembly.assemble(sorted(wanted, key=lambda item: items.KIND_ORDER[item.key.kind]))


def _works(case: dict[str, Any], name: str) -> tuple[image_work.Work, ...]:
    """The verdicts of a case: need and reason by function; ``unknown`` is a registry that did not answer."""
    works = []
    for function, (need, *why) in case.get(name, {}).items():
        target = "host/x:1" if case.get("same_target") else f"host/{function}:1"
        works.append(
            image_work.Work(
                image_inputs.ImageInput(function, "entry-1", "x:1", target, "sha256:context", "FROM scratch"),
                image_work.Need("nothing" if need == "unknown" else need),
                image_work.Why(why[0]) if why else None,
                known=need != "unknown",
            )
        )
    return tuple(works)


@pytest.mark.parametrize("case", _cases())
def test_plan_case(case: dict[str, Any]) -> None:
    """One case of the table: C1, C7, F7, A6 and A7 in their pure form."""
    decision = plan.make(_situation(case))
    expected = case["expect"]
    assert str(decision.outcome) == expected["outcome"]
    assert [
        f"{change.operation} {change.key.kind} {change.key.name} {change.cause} {change.reason} {change.effect}"
        for change in decision.comparison.changes
    ] == expected.get("changes", [])
    assert [f"{key.kind} {key.name}" for key in decision.comparison.foreign] == expected.get("foreign", [])
    assert [f"{key.kind} {key.name}" for key in decision.comparison.orphaned] == expected.get("orphaned", [])
    assert [blocker.reason for blocker in decision.blockers] == expected.get("blockers", [])
    assert [type(action).__name__ for action in decision.actions] == expected.get("actions", [])
    if "result" in expected:
        assert [f"{part.item.key.kind} {part.item.key.name}" for part in decision.comparison.result] == expected[
            "result"
        ]
    for code in expected.get("notices", []):
        assert code in [notice.code for notice in decision.notices]
    for code in expected.get("silent", []):
        assert code not in [notice.code for notice in decision.notices]


@pytest.mark.parametrize("case", _cases())
def test_f7_applying_a_plan_leaves_nothing_to_do(case: dict[str, Any]) -> None:
    """F7: once the result of a plan is live and recorded, the same source asks for nothing any more."""
    situation = _situation(case)
    decision = plan.make(situation)
    if not decision.publishes:
        return
    live = {part.item.key: part.item for part in decision.comparison.result}
    digests = {document: digest.of_parts(str(document)) for document in items.Document}
    mode = situation.rules.publish
    presence = observed.Presence.LINK if mode is policy.PublishMode.GENERATION else observed.Presence.PLAIN
    again = plan.make(
        situations.Situation(
            wanted=situation.wanted,
            look=observed.Observed(
                exists=True,
                documents={
                    document: observed.DocumentState(presence, digests[document], 1) for document in items.Document
                },
                generation=2,
            ),
            seen=observed.ObservedItems(live),
            remembered=record.Record(
                applied=record.AppliedSet(
                    2, situation.wanted.revision, 2, "", digests, "now", decision.comparison.result
                ),
                pass_digest="pass",
                conditions=_READY,
            ),
            rules=situation.rules,
            allowed=situation.allowed,
            pass_digest="pass",
        )
    )
    assert again.outcome is outcomes.Outcome.IN_SYNC
    assert again.comparison.changes == ()
    assert again.actions == ()
