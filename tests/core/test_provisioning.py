"""When the provisioner is run, and what a container of its name means."""

import dataclasses
import functools

import hypothesis
import pytest
from hypothesis import strategies

from core import policy, provisioning, stack

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ON_CHANGE, ALWAYS = policy.Provision.ON_CHANGE, policy.Provision.ALWAYS


@dataclasses.dataclass(frozen=True)
class Case:
    """What is known, and the reason to run."""

    told: str
    reason: provisioning.Reason | None
    provision: policy.Provision = ON_CHANGE
    configured: bool = True
    wanted: str = A
    before: str = ""
    empty: bool = False


CASES = (
    Case("never ran", provisioning.Reason.FIRST_RUN),
    Case("never ran, and nothing is wanted", None, empty=True),
    Case("the same as before", None, before=A),
    Case("other resources", provisioning.Reason.RESOURCES_CHANGED, before=B),
    Case("all resources are gone", provisioning.Reason.RESOURCES_CHANGED, before=B, empty=True),
    Case("the last run failed", provisioning.Reason.LAST_RUN_FAILED, before=provisioning.FAILED),
    Case("the last run failed, and nothing is wanted any more", None, before=provisioning.FAILED, empty=True),
    Case("always, and the same as before", provisioning.Reason.ALWAYS_ASKED, ALWAYS, before=A),
    Case("always, and nothing is wanted", provisioning.Reason.ALWAYS_ASKED, ALWAYS, empty=True),
    Case("no stack, never ran", None, configured=False),
    Case("no stack, always", None, ALWAYS, configured=False),
    Case("no stack, other resources", None, before=B, configured=False),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.told)
def test_h4_the_provisioner_is_run_when_resources_changed_failed_or_always(case: Case) -> None:
    reason = provisioning.needed(
        provision=case.provision,
        configured=case.configured,
        wanted_digest=case.wanted,
        provisioned_digest=case.before,
        empty=case.empty,
    )
    assert reason is case.reason


digests = strategies.sampled_from(["", A, B, provisioning.FAILED])


@hypothesis.given(digests, digests.filter(lambda one: one != provisioning.FAILED), strategies.booleans())
def test_property_a_run_that_succeeded_is_never_needed_again(before: str, wanted: str, empty: bool) -> None:
    """PR2, faults.md P12: what a run made true asks for no other run, whatever was before."""
    asked = functools.partial(
        provisioning.needed, provision=ON_CHANGE, configured=True, wanted_digest=wanted, empty=empty
    )
    first = asked(provisioned_digest=before)
    assert asked(provisioned_digest=wanted if first else before) is None


@pytest.mark.parametrize(
    ("state", "ours", "found"),
    [
        ("running", True, provisioning.Found.UNDER_WAY),
        ("paused", True, provisioning.Found.UNDER_WAY),
        ("restarting", True, provisioning.Found.UNDER_WAY),
        ("created", True, provisioning.Found.UNSTARTED),
        ("exited", True, provisioning.Found.ENDED),
        ("dead", True, provisioning.Found.ENDED),
        ("removing", True, provisioning.Found.ENDED),
        ("running", False, provisioning.Found.FOREIGN),
        ("created", False, provisioning.Found.FOREIGN),
        ("exited", False, provisioning.Found.FOREIGN),
    ],
)
def test_h1_what_a_container_of_the_name_means(state: str, ours: bool, found: provisioning.Found) -> None:
    assert provisioning.meaning_of(state, ours=ours) is found


@pytest.mark.parametrize(
    ("codes", "attempts", "again"),
    [
        ([1], 2, True),
        ([137], 2, True),
        ([143], 2, True),
        ([124], 2, True),
        ([128], 2, True),
        ([125], 2, False),
        ([126], 2, False),
        ([127], 2, False),
        ([1], 1, False),
        ([1, 1], 2, False),
        ([1, 1], 3, True),
        ([1, 127], 3, False),
        ([125, 1], 3, True),
    ],
)
def test_h3_which_exit_codes_are_worth_another_try(codes: list[int], attempts: int, again: bool) -> None:
    assert provisioning.worth_retry(codes, attempts) is again


def test_a_success_on_retry_is_told() -> None:
    assert provisioning.retry_notes([], 2) == ()
    assert provisioning.retry_notes([3], 2) == ("the provisioner succeeded on retry: attempt 1 of 2 exited with 3",)
    assert provisioning.retry_notes([3, 4], 3) == (
        "the provisioner succeeded on retry: attempt 1 of 3 exited with 3, attempt 2 of 3 exited with 4",
    )


def test_the_name_of_the_container_is_the_project_s() -> None:
    """P7: the same for every controller of a project, and another for another project."""
    assert provisioning.container_name("demo") == "demo-artifact-provisioner"


ALIVE, OVER = stack.Service("gateway", "gw:1"), stack.Service("gateway", "gw:1", state="exited")


@pytest.mark.parametrize(
    ("services", "defined", "nothing"),
    [
        ((), ("gateway", "provisioner"), True),
        ((OVER,), ("gateway", "provisioner"), True),
        ((stack.Service("provisioner", "p:1"),), ("gateway", "provisioner"), True),
        ((ALIVE, OVER), ("gateway", "provisioner"), False),
        ((stack.Service("database", "db:1", state="restarting"),), ("gateway", "provisioner"), False),
        ((), ("provisioner",), False),
        ((), (), False),
    ],
)
def test_dk2_a_stack_that_does_not_run_is_nothing_to_work_on(
    services: tuple[stack.Service, ...], defined: tuple[str, ...], nothing: bool
) -> None:
    """DK2: what the provisioner depends on is not started for it. A project of a provisioner alone depends on nothing
    here."""
    seen = stack.Stack("p", services, unknown="" if services else "no container")
    assert provisioning.works_on_nothing(seen, defined, service="provisioner") is nothing
