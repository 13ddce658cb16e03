"""The provisioner of a pass, at the level of commands: what is told while nobody runs one, what is refused before
anything is written, and what `status` and `doctor` say of it."""

from pathlib import Path

import pytest

from controller import docker, errors
from controller.probes import stack as probe
from tests.fakes import command
from tests.fakes import engine as engines
from tests.fakes.command import Ended, Shop

AWAY = errors.ControllerError("DockerUnavailable", "no engine answers")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine that the commands find: one service of the shop's project runs on it."""
    played = engines.Engine(defined=("gateway", "provisioner"))
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    run_gateway(played)
    return played


def run_gateway(engine: engines.Engine) -> None:
    """Start the stack."""
    image = engine.hold("esb-gateway-docker:v1")
    labels = {probe.LABEL_PROJECT: "shop", probe.LABEL_SERVICE: "gateway"}
    engine.standing["1"] = docker.Container(
        id="1",
        name="shop-gateway-1",
        image="esb-gateway-docker:v1",
        image_id=image.id,
        labels=labels,
        state="running",
        health="",
        exit_code=None,
        environment={},
    )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def stack(shop: Shop) -> dict[str, str]:
    """The settings of a stack with a provisioner."""
    file = shop.folder / "compose.yml"
    file.touch()
    return {
        "CONTROLLER_STACK__COMPOSE_FILES": str(file),
        "CONTROLLER_STACK__PROJECT": "shop",
        "CONTROLLER_STACK__CONFIG_DIR_ON_HOST": "shop_config",
    }


def told(ended: Ended) -> list[str]:
    """What is said of resources that nobody provisions."""
    return [line for line in ended.text.splitlines() if "NotProvisioned" in line]


NOTE = "NotProvisioned: 2 resources published that no provisioner makes (1 table, 1 bucket); "


def test_resources_that_nobody_provisions_are_told_everywhere(shop: Shop) -> None:
    """With their number and the setting that would help; the exit code is that of a success."""
    first = shop.reconcile()
    assert (first.code, len(told(first))) == (0, 1)
    assert told(first)[0].startswith(f"note: {NOTE}")
    assert "stack.compose_files" in told(first)[0]
    assert (told(shop.reconcile()), told(shop.diff())) == (told(first), told(first))
    assert told(shop.about("status"))[0].startswith(f"note        {NOTE}")
    (noted,) = [note for note in shop.about("status", "--output", "json").json["notes"] if note.startswith(NOTE)]
    report = shop.reconcile("--output", "json").json
    assert (noted in report["notes"], report["exit_code"]) == (True, 0)
    notices = shop.diff("--output", "json").json["notices"]
    assert [one["message"] for one in notices if one["code"] == "NotProvisioned"] == [noted.partition(": ")[2]]


def test_deploy_tells_it_too(shop: Shop) -> None:
    ended = shop.run("deploy", "--artifact", shop.manifest, "--out", shop.config)
    assert (ended.code, len(told(ended))) == (0, 1)


def test_it_is_told_only_while_it_is_so(shop: Shop, engine: engines.Engine, stack: dict[str, str]) -> None:
    """Not with a provisioner, which then runs; and not without resources."""
    shop.published()
    ended = shop.reconcile(environment=stack)
    assert (ended.code, told(ended), len(engine.runs)) == (0, [], 1), ended.text
    assert told(shop.about("status")) == []
    shop.document("catalog", "resources.yml").write_text("resources: {}\n")
    shop.document("orders", "resources.yml").write_text("resources: {}\n")
    assert told(shop.reconcile()) == []
    assert told(shop.about("status")) == []


def test_status_shows_some_notes_and_json_all_of_them(shop: Shop) -> None:
    shop.published()
    for number in range(30):
        (shop.config / f"theirs-{number:02}").touch()
    assert len(shop.about("status", "--output", "json").json["notes"]) > 30
    notes = [line for line in shop.about("status").out.splitlines() if line.startswith("note ")]
    assert (len(notes), "more (--output json shows all)" in notes[-1]) == (11, True)


# Before anything is written.


def change_everything(shop: Shop) -> None:
    """Another table and another function: the provisioner is due."""
    shop.edit("orders", "resources.yml", "TableName: orders", "TableName: orders-2")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")


def test_h5_a_wrong_service_is_78_and_nothing_is_written(
    shop: Shop, engine: engines.Engine, stack: dict[str, str]
) -> None:
    """A typing error costs no half-done publish; `doctor` finds it, too."""
    assert shop.reconcile(environment=stack).code == 0
    change_everything(shop)
    before, runs = command.visible(shop.config), len(engine.runs)
    wrong = {**stack, "CONTROLLER_STACK__PROVISIONER": "provisoner"}
    ended = shop.reconcile(environment=wrong)
    assert ended.code == 78, ended.text
    for word in ("stack.provisioner", "project shop has no service provisoner", "gateway, provisioner"):
        assert word in ended.err
    assert (command.visible(shop.config), len(engine.runs)) == (before, runs)
    checks = {one["name"]: one for one in doctor(shop, wrong).json["checks"]}
    assert (checks["provisioner"]["status"], "has no service provisoner" in checks["provisioner"]["detail"]) == (
        "FAIL",
        True,
    )
    assert checks["provisioner"]["hint"]
    assert (
        "ok   provisioner: service provisioner of project shop"
        in shop.run("doctor", *shop.target, environment=stack).out
    )


def doctor(shop: Shop, environment: dict[str, str]) -> Ended:
    """Its checks."""
    return shop.run("doctor", *shop.target, "--output", "json", environment=environment)


def test_doctor_asks_no_compose_without_a_provisioner(shop: Shop, engine: engines.Engine) -> None:
    assert "provisioner" not in {one["name"] for one in doctor(shop, {}).json["checks"]}
    assert engine.count("services") == 0


def test_dk2_a_stack_that_does_not_run_is_69_and_nothing_is_written(
    shop: Shop, engine: engines.Engine, stack: dict[str, str]
) -> None:
    assert shop.reconcile(environment=stack).code == 0
    change_everything(shop)
    before, runs = command.visible(shop.config), len(engine.runs)
    engine.standing.clear()
    ended = shop.reconcile(environment=stack)
    assert ended.code == 69, ended.text
    assert "failed (StackNotRunning): " in ended.err
    assert ended.err.splitlines()[-1].startswith("hint: start the stack")
    assert (command.visible(shop.config), len(engine.runs)) == (before, runs)
    assert shop.reconcile(environment={**stack, "CONTROLLER_STACK__WITH_DEPS": "true"}).code == 0
    change = shop.document("orders", "resources.yml")
    change.write_text(change.read_text().replace("orders-2", "orders-3"))
    run_gateway(engine)
    assert (shop.reconcile(environment=stack).code, len(engine.runs)) == (0, runs + 2)


def test_p8_an_unchanged_pass_asks_compose_nothing(shop: Shop, engine: engines.Engine, stack: dict[str, str]) -> None:
    assert shop.reconcile(environment=stack).code == 0
    asked = engine.count("services")
    assert asked == 1
    engine.standing.clear()
    ended = shop.reconcile(environment=stack)
    assert (ended.code, engine.count("services")) == (0, asked), ended.text


# What only a person can do.


def test_pr1_what_is_not_convergeable_stays_in_status(
    shop: Shop, engine: engines.Engine, stack: dict[str, str]
) -> None:
    """Named in the plan and, for as long as it is so, in `status`; a later pass that undoes it ends that."""
    assert shop.reconcile(environment=stack).code == 0
    shop.edit("orders", "resources.yml", "PAY_PER_REQUEST", "PROVISIONED")
    assert "NotConvergeable: table orders " in shop.diff(environment=stack).err
    assert shop.reconcile(environment=stack).code == 0
    for _ in range(2):
        status = shop.about("status")
        assert [line for line in status.out.splitlines() if line.startswith("by hand     table orders ")], status.out
        (one,) = shop.about("status", "--output", "json").json["by_hand"]
        assert (one["kind"], one["name"]) == ("table", "orders")
        assert one["revision"] == shop.about("status", "--output", "json").json["applied_revision"]
        assert shop.reconcile(environment=stack).out.startswith("nothing to do")
    shop.edit("orders", "resources.yml", "PROVISIONED", "PAY_PER_REQUEST")
    assert shop.reconcile(environment=stack).code == 0
    assert "by hand" not in shop.about("status").out
    assert shop.about("status", "--output", "json").json["by_hand"] == []


# An engine that is away.


def test_h8_a_suspended_target_says_so_also_without_an_engine(
    shop: Shop, engine: engines.Engine, stack: dict[str, str]
) -> None:
    assert shop.reconcile(environment=stack).code == 0
    assert shop.about("suspend", "--reason", "freeze").code == 0
    engine.fail("containers", "", AWAY, times=9)
    ended = shop.reconcile(environment=stack)
    assert (ended.code, "failed (Suspended): " in ended.err, "freeze" in ended.err) == (77, True, True), ended.text
    assert shop.about("resume").code == 0
    assert shop.reconcile(environment=stack).code == 69


@pytest.mark.parametrize(
    "arguments", [("probe", "--project", "shop"), ("provision", "--project", "shop", "--compose-file", "compose.yml")]
)
def test_hints_name_no_option_that_a_command_lacks(engine: engines.Engine, arguments: tuple[str, ...]) -> None:
    for call in ("containers", "preflight"):
        engine.fail(call, "", AWAY)
    ended = command.run(*arguments)
    assert (ended.code, ended.err.splitlines()[-1]) == (69, f"hint: {errors.MEANINGS['DockerUnavailable'].hint}")
    offered = command.run(arguments[0], "--help").out
    assert [word for word in ended.err.split() if word.startswith("--") and word not in offered] == []


def test_h5_the_provision_command_tells_a_wrong_service_as_a_setting(engine: engines.Engine, tmp_path: Path) -> None:
    """78 with the services there are, and nothing started."""
    file = tmp_path / "controller.yml"
    file.write_text("stack: {provisioner: tables}\n", encoding="utf-8")
    ended = command.run("provision", "--project", "shop", "--compose-file", "compose.yml", "--config", file)
    assert (ended.code, "gateway, provisioner" in ended.err, engine.runs) == (78, True, [])
