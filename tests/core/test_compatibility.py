"""Whether a running stack can take an artifact (contract.md section 6, faults.md H8); cases are data in
tests/cases/compatibility."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import compatibility, stack, stack_reading

CASES = Path(__file__).parent.parent / "cases" / "compatibility"
PLACE = "compose project p on unix:///e.sock"
MODES = ("docker", "containerd", "firecracker")


def cases(name: str) -> list[Any]:
    loaded = yaml.safe_load((CASES / f"{name}.yml").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in loaded]


def service(name: str, image: str, known: dict[str, Any] | None = None) -> stack.Service:
    reference = stack_reading.parts(image)
    return stack.Service(name, image, **{"tag": reference.tag, "digest": reference.digest, **(known or {})})


def seen(case: dict[str, Any]) -> stack.Stack:
    if "unknown" in case:
        return stack.Stack("p", unknown=case["unknown"])
    return stack.Stack("p", tuple(service(*row) for row in case["services"]), source=PLACE)


def required(case: dict[str, Any]) -> compatibility.Requirement | None:
    return compatibility.Requirement(*case["requires"]) if "requires" in case else None


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
@pytest.mark.parametrize("case", cases("verdicts"))
def test_h8_every_row_of_the_verdict_table(case: dict[str, Any], *, strict: bool) -> None:
    found = compatibility.judge(required(case), seen(case), strict=strict)
    codes = [f"{finding.code}{'!' if finding.blocks else ''}" for finding in found]
    assert codes == case["strict" if strict else "default"]
    if "verdict" in case:
        assert compatibility.verdict(found) == case["verdict"]
    message = "\n".join(finding.message for finding in found)
    assert [part for part in case.get("says", ()) if part not in message] == []


@pytest.mark.parametrize("case", cases("inference"))
def test_h8_what_a_stack_is_taken_for(case: dict[str, Any]) -> None:
    looked = seen(case)
    mode, version = stack_reading.mode(looked), stack_reading.version(looked)
    assert (mode.value if mode else "") == case.get("mode", "")
    assert (version.value if version else "") == case.get("version", "")
    assert compatibility.observed_tag(looked) == case.get("tag", "")
    assert list(stack_reading.skew(looked)) == case.get("skew", [])


@pytest.mark.parametrize("case", cases("health"))
def test_h8_pr2_health_of_a_stack(case: dict[str, Any]) -> None:
    services = tuple(
        stack.Service(name, "x:1", **(known[0] if known else {})) for name, *known in case.get("services", ())
    )
    found = compatibility.health(stack.Stack("p", services, "the project", case.get("unknown", "")))
    assert [found.status, found.reason] == case["expect"]
    assert case["says"] in found.message
    if case["name"] == "replicas are named once":
        assert found.message.count("agent") == 1


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("a", ("a", "latest", "")),
        ("a:1", ("a", "1", "")),
        ("r:5000/a", ("r:5000/a", "latest", "")),
        ("r:5000/b/a:1", ("r:5000/b/a", "1", "")),
        ("a@sha256:00", ("a", "", "sha256:00")),
        ("r:5000/a:1@sha256:00", ("r:5000/a", "1", "sha256:00")),
        ("sha256:" + "0" * 64, ("", "", "")),
        ("sha256:1", ("sha256", "1", "")),
        ("", ("", "", "")),
    ],
)
def test_the_parts_of_a_reference(reference: str, parts: tuple[str, str, str]) -> None:
    assert stack_reading.parts(reference) == parts


IMAGES = st.sampled_from(
    ["g-docker:v1", "g-docker:v2", "g-containerd:v1", "g:v1", "g-docker", "g@sha256:00", "x-docker@sha256:01"]
)
SERVICES = st.builds(
    lambda name, image, runtime, version, state: service(
        name, image, {"runtime": runtime, "version": version, "state": state}
    ),
    st.sampled_from([*stack_reading.CONTROL_PLANE, "registry"]),
    IMAGES,
    st.sampled_from(["", "firecracker"]),
    st.sampled_from(["", "v1", "22.04"]),
    st.sampled_from(["running", "running", "restarting", "exited", "created"]),
)
STACKS = st.builds(
    lambda services: stack.Stack("p", tuple(services), PLACE), st.lists(SERVICES, min_size=1, max_size=5)
)
REQUIREMENTS = st.builds(
    compatibility.Requirement,
    st.sampled_from(["1", "1.0", "1.1", "2.0"]),
    st.sampled_from(MODES),
    st.sampled_from(["v1", "v2", "latest"]),
)


@given(REQUIREMENTS, STACKS)
def test_strict_only_turns_warnings_into_errors(wanted: compatibility.Requirement, looked: stack.Stack) -> None:
    """The property of the table's second column: same rows, same words, and each of them blocks."""
    usual = compatibility.judge(wanted, looked, strict=False)
    strict = compatibility.judge(wanted, looked, strict=True)
    assert [(each.code, each.message) for each in usual] == [(each.code, each.message) for each in strict]
    assert all(each.blocks for each in strict)
    always = {compatibility.Code.MODE_DIFFERS, compatibility.Code.API_MAJOR_DIFFERS}
    assert all(each.blocks == (each.code in always) for each in usual)


@given(REQUIREMENTS, STACKS)
def test_h8_what_is_unknown_never_blocks_by_default(wanted: compatibility.Requirement, looked: stack.Stack) -> None:
    found = compatibility.judge(wanted, looked, strict=False)
    if compatibility.verdict(found) is compatibility.Verdict.UNKNOWN:
        assert not any(each.blocks for each in found)


@given(STACKS)
def test_a_stack_takes_what_names_its_own_mode_and_version(looked: stack.Stack) -> None:
    """Whatever is inferred is a match for itself, also in strict, as long as the services agree."""
    mode, version = stack_reading.mode(looked), stack_reading.version(looked)
    if mode is None or version is None:
        return
    wanted = compatibility.Requirement("1.0", mode.value, version.service.tag or version.service.version)
    found = compatibility.judge(wanted, looked, strict=True)
    assert {each.code for each in found} <= {compatibility.Code.SERVICES_DISAGREE}
    assert len(found) == len(stack_reading.skew(looked))


@given(STACKS, st.randoms(use_true_random=False))
def test_the_order_of_services_says_nothing(looked: stack.Stack, chance: Any) -> None:
    """One container a service: which one the engine lists first changes neither mode, version nor tag."""
    single = tuple({each.name: each for each in looked.services}.values())
    mixed = list(single)
    chance.shuffle(mixed)
    one, other = stack.Stack("p", single, PLACE), stack.Stack("p", tuple(mixed), PLACE)
    assert stack_reading.mode(one) == stack_reading.mode(other)
    assert stack_reading.version(one) == stack_reading.version(other)
    assert stack_reading.skew(one) == stack_reading.skew(other)
    assert compatibility.observed_tag(one) == compatibility.observed_tag(other)
