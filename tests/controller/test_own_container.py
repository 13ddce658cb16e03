"""A controller in a container of the engine that it works on: where CONFIG_DIR is outside, and what a run may not do
(faults.md H11, H12). The engine is played; e2e/test_own_container.py does the same with real containers."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller import compose_stack, docker, errors, own_container, settings
from core import actions, compose_definition, provisioning
from core import own_container as containers
from core import stack as looks
from tests.fakes import engine as engines

OWN = "c0" * 32
traces = own_container.traces  # for the others, it tells what a test wants
HERE = containers.Traces((OWN,), "", frozenset({"/", "/config", "/stack", "/anonymous"}))
RUNNING = looks.Stack("shop", (looks.Service("gateway", "gw:1"),))
RUN = actions.Provision("sha256:resources", provisioning.Reason.ALWAYS_ASKED)
VOLUME = containers.Mount("volume", "shop_config", "/config", "/var/lib/docker/volumes/shop_config/_data")
FOLDER = containers.Mount("bind", "/srv/shop/config", "/config", "/mnt/srv/shop/config")
STACK = containers.Mount("bind", "/srv/shop", "/stack", "/srv/shop")
NAMELESS = containers.Mount("volume", "ab" * 32, "/config", "/var/lib/docker/volumes/x/_data")
AT = "/app/config"
OF_VOLUME = compose_definition.Defined("volume", "shop_config", AT)
OF_FOLDER = compose_definition.Defined("bind", "/srv/shop/config", AT)


def own(*mounts: containers.Mount, project: str = "shop", service: str = "controller") -> docker.Container:
    """The container that this is."""
    labels = {own_container.LABEL_PROJECT: project, own_container.LABEL_SERVICE: service}
    return docker.Container(
        OWN, "shop-controller-1", "c:1", "sha256:c", labels, "running", "unhealthy", None, {}, mounts
    )


def defined(*mounts: compose_definition.Defined, needs: Mapping[str, set[str]] = {}) -> compose_definition.Definition:
    """What the compose files have; the provisioner needs the database."""
    edges = {"provisioner": {"database"}, "gateway": set(), "database": set(), **needs}
    return compose_definition.Definition(
        {name: frozenset(each) for name, each in edges.items()}, mounts, {"config": "shop_config"}
    )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine of the stack, which has this container."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    monkeypatch.setattr(own_container, "traces", lambda: HERE)
    monkeypatch.setattr(compose_stack, "in_container", lambda: True)
    played.standing["own"] = own(VOLUME)
    played.definitions[""] = defined(OF_VOLUME)
    return played


def stack_of(tmp_path: Path, config_dir: str = "/config", **more: object) -> compose_stack.ComposeStack:
    """A stack with a compose file; `more` are settings of `stack`."""
    file = tmp_path / "compose.yml"
    file.touch()
    given = {"compose_files": [str(file)], "project": "shop", **more}
    loaded = settings.load(None, {("stack", key): value for key, value in given.items()})
    return compose_stack.ComposeStack(loaded, Path(config_dir))


def refused(stack: compose_stack.ComposeStack) -> errors.ControllerError:
    """What is said before anything is built."""
    with pytest.raises(errors.ControllerError) as caught:
        stack.require_provisioner("shop", RUNNING)
    return caught.value


def told(engine: engines.Engine, stack: compose_stack.ComposeStack) -> Mapping[str, str]:
    """What compose is told when the provisioner runs, after the question whether it may."""
    stack.require_provisioner("shop", RUNNING)
    stack.provision(RUN, "shop")
    return engine.runs[-1].environment


def test_h12_a_volume_is_found_out_by_the_name_that_compose_files_have_for_it(
    engine: engines.Engine, tmp_path: Path
) -> None:
    assert told(engine, stack_of(tmp_path)) == {"CONFIG_DIR": "config"}


@pytest.mark.parametrize(("project", "name"), [("shop", "config"), ("tools", "shop_config")])
def test_h12_files_that_cannot_be_read_as_they_are_written(
    engine: engines.Engine, tmp_path: Path, project: str, name: str
) -> None:
    """Compose reads ``${A:-b}:/c`` in another way then. A volume of the project is named as compose names it; one of
    another keeps its name, and compose says whether it knows it."""
    engine.fail("definition", "*", engines.failed("yaml: no"), times=2)
    assert told(engine, stack_of(tmp_path, project=project)) == {"CONFIG_DIR": name}


def test_h12_a_volume_that_they_do_not_define_keeps_its_name(engine: engines.Engine, tmp_path: Path) -> None:
    engine.definitions[""] = compose_definition.Definition({}, (OF_VOLUME,), {"config": "another"})
    assert told(engine, stack_of(tmp_path)) == {"CONFIG_DIR": "shop_config"}


@pytest.mark.parametrize(
    ("config_dir", "path"), [("/config", "/srv/shop/config"), ("/config/eu", "/srv/shop/config/eu")]
)
def test_h12_a_folder_is_found_out_as_the_engine_was_told_of_it(
    engine: engines.Engine, tmp_path: Path, config_dir: str, path: str
) -> None:
    """Not as it is kept there: with a desktop's engine that is another path, which it may not take back."""
    engine.standing["own"] = own(FOLDER)
    engine.definitions[""] = defined(compose_definition.Defined("bind", path, AT))
    assert told(engine, stack_of(tmp_path, config_dir)) == {"CONFIG_DIR": path}


@pytest.mark.parametrize("mount", [VOLUME, FOLDER])
@pytest.mark.parametrize("spelt", ["source", "kept_at"])
def test_h12_what_is_set_is_told_as_it_is_set(
    engine: engines.Engine, tmp_path: Path, mount: containers.Mount, spelt: str
) -> None:
    engine.standing["own"] = own(mount)
    name = getattr(mount, spelt)
    engine.definitions[""] = defined(OF_VOLUME if mount is VOLUME else compose_definition.Defined("bind", name, AT))
    assert told(engine, stack_of(tmp_path, config_dir_on_host=name)) == {"CONFIG_DIR": name}


@pytest.mark.parametrize(("mount", "mounted"), [(VOLUME, OF_VOLUME), (FOLDER, OF_FOLDER)])
def test_h12_a_path_that_is_set_and_is_another_one(
    engine: engines.Engine, tmp_path: Path, mount: containers.Mount, mounted: compose_definition.Defined
) -> None:
    """Both are named; nothing runs, and compose is not asked."""
    engine.standing["own"], engine.definitions[""] = own(mount), defined(mounted)
    error = refused(stack_of(tmp_path, config_dir_on_host="/srv/other"))
    assert error.reason == "SettingsInvalid"
    for word in ("stack.config_dir_on_host is /srv/other", mount.source):
        assert word in error.message
    assert (engine.count("services"), engine.runs) == (0, [])


def test_h12_a_volume_that_is_set_and_is_another_one(engine: engines.Engine, tmp_path: Path) -> None:
    """Compose knows what its name means: the provisioner would see another CONFIG_DIR."""
    engine.definitions["other"] = defined(compose_definition.Defined("volume", "shop_other", AT))
    error = refused(stack_of(tmp_path, config_dir_on_host="other"))
    assert error.reason == "SettingsInvalid"
    for word in ("the volume shop_other at /app/config", "the volume shop_config", "config_dir_on_host is other"):
        assert word in error.message


def test_h12_a_provisioner_that_does_not_mount_it(engine: engines.Engine, tmp_path: Path) -> None:
    engine.definitions[""] = defined()
    error = refused(stack_of(tmp_path))
    assert (error.reason, "nothing at all" in error.message) == ("SettingsInvalid", True)


@pytest.mark.parametrize("mounts", [(), (STACK,), (NAMELESS,), (containers.Mount("tmpfs", "", "/config"),)])
@pytest.mark.parametrize("more", [{}, {"config_dir_on_host": "shop_config"}])
def test_h12_a_config_dir_that_only_the_container_has_is_lost_with_it(
    engine: engines.Engine, tmp_path: Path, mounts: tuple[containers.Mount, ...], more: dict[str, str]
) -> None:
    """Whatever is set: what is published there is seen by nobody."""
    engine.standing["own"] = own(*mounts)
    error = refused(stack_of(tmp_path, **more))
    assert (error.reason, "no other container sees it" in error.message) == ("HostPathUnknown", True)


def test_h12_a_folder_of_a_volume_cannot_be_told(engine: engines.Engine, tmp_path: Path) -> None:
    """Unless the compose files have it, as by ``subpath``: then what is set is believed when it is that."""
    error = refused(stack_of(tmp_path, "/config/eu"))
    assert (error.reason, "below it eu" in error.message) == ("HostPathUnknown", True)
    engine.definitions["config"] = defined(compose_definition.Defined("volume", "shop_config", AT, "eu"))
    assert told(engine, stack_of(tmp_path, "/config/eu", config_dir_on_host="config")) == {"CONFIG_DIR": "config"}
    engine.definitions["config"] = defined(compose_definition.Defined("volume", "shop_config", AT, "us"))
    assert refused(stack_of(tmp_path, "/config/eu", config_dir_on_host="config")).reason == "SettingsInvalid"


def test_h12_an_engine_that_does_not_have_this_container_is_told(engine: engines.Engine, tmp_path: Path) -> None:
    """It is on another host, or not the one that runs us: what is set counts, and without it there is an error."""
    engine.standing.clear()
    error = refused(stack_of(tmp_path))
    assert error.reason == "HostPathUnknown"
    for word in ("runs in a container", engine.address, "stack.config_dir_on_host"):
        assert word in error.message
    assert told(engine, stack_of(tmp_path, config_dir_on_host="/srv/x")) == {"CONFIG_DIR": "/srv/x"}


def test_h12_a_path_that_compose_made_of_a_relative_one(
    engine: engines.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the compose files is another one on the engine's host. The same path there is fine, and so are
    paths elsewhere, which nobody made."""
    inside = compose_definition.Defined("bind", f"{tmp_path}/rules", "/rules")
    engine.definitions[""] = defined(OF_VOLUME, inside, compose_definition.Defined("bind", "/etc/ssl", "/ssl"))
    elsewhere = containers.Mount("bind", "/srv/shop", str(tmp_path), "/srv/shop")
    engine.standing["own"] = own(VOLUME, elsewhere)
    points = HERE.points | {str(tmp_path)}
    monkeypatch.setattr(own_container, "traces", lambda: containers.Traces(HERE.ids, "", points))
    error = refused(stack_of(tmp_path))
    assert error.reason == "SettingsInvalid"
    for word in (f"{tmp_path}/rules at /rules", "/srv/shop/rules of the engine's host", "stack.project_directory"):
        assert word in error.message
    engine.standing["own"] = own(VOLUME, containers.Mount("bind", str(tmp_path), str(tmp_path), str(tmp_path)))
    told(engine, stack_of(tmp_path))
    engine.standing["own"] = own(VOLUME)
    assert "which only this container has" in refused(stack_of(tmp_path)).message


def test_h12_a_project_directory_of_the_host_need_not_be_here(engine: engines.Engine, tmp_path: Path) -> None:
    """The way out: relative paths begin there."""
    engine.definitions[""] = defined(OF_VOLUME, compose_definition.Defined("bind", "/nowhere/shop/rules", "/rules"))
    stack = stack_of(tmp_path, project_directory="/nowhere/shop")
    assert told(engine, stack) == {"CONFIG_DIR": "config"}
    assert str(engine.runs[-1].project_directory) == "/nowhere/shop"


@pytest.mark.parametrize("needs", [{"database": {"controller"}}, {"provisioner": {"controller"}}])
def test_h11_with_deps_never_makes_the_controller_again(
    engine: engines.Engine, tmp_path: Path, needs: Mapping[str, set[str]]
) -> None:
    """Refused before anything is built. Without dependencies, and in another project, it is nobody's business."""
    engine.definitions[""] = defined(OF_VOLUME, needs=needs)
    error = refused(stack_of(tmp_path, with_deps=True))
    assert (error.reason, error.meaning.exit_code) == ("SettingsInvalid", 78)
    for word in ("stack.with_deps", "service controller of project shop", "depends_on"):
        assert word in error.message
    assert engine.runs == []
    told(engine, stack_of(tmp_path))
    engine.standing["own"] = own(VOLUME, project="tools")
    told(engine, stack_of(tmp_path, with_deps=True))


def test_h11_with_deps_where_nothing_depends_on_the_controller(engine: engines.Engine, tmp_path: Path) -> None:
    """Also when the controller itself depends on others."""
    engine.definitions[""] = defined(OF_VOLUME, needs={"controller": {"database", "gateway"}})
    assert told(engine, stack_of(tmp_path, with_deps=True)) == {"CONFIG_DIR": "config"}


def test_h11_the_controller_is_no_provisioner(engine: engines.Engine, tmp_path: Path) -> None:
    engine.defined = ("controller", "gateway")
    assert "this very controller" in refused(stack_of(tmp_path, provisioner="controller")).message


def test_h11_a_stack_of_which_only_the_controller_runs_does_not_run(engine: engines.Engine, tmp_path: Path) -> None:
    """And one that has nothing but it and the provisioner needs nothing else."""
    nothing = looks.Stack("shop", unknown="no container but this one")
    engine.defined = ("controller", "provisioner", "database")
    with pytest.raises(errors.ControllerError) as caught:
        stack_of(tmp_path).require_provisioner("shop", nothing)
    assert caught.value.reason == "StackNotRunning"
    engine.defined = ("controller", "provisioner")
    stack_of(tmp_path).require_provisioner("shop", nothing)


def test_h11_the_controller_s_own_service_is_no_part_of_the_stack(engine: engines.Engine, tmp_path: Path) -> None:
    """Its health, its version and its coming and going say nothing of what it keeps, and cost no call."""
    stack = stack_of(tmp_path)
    engine.standing["gateway"] = member("gateway", "gw:1")
    before = stack.probe("shop", needed=True)
    del engine.standing["own"]
    assert stack.probe("shop", needed=True) == before
    assert [each.name for each in before.services] == ["gateway"]
    assert engine.count("containers_of") == 0
    engine.standing = {"own": own(VOLUME)}
    alone = stack.probe("shop", needed=True)
    assert (alone.services, "but this one" in alone.unknown) == ((), True)


def test_h11_only_the_own_container_is_left_out(
    engine: engines.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller of somebody else in the project is a service like others; outside of a container all are."""
    stack = stack_of(tmp_path)
    engine.standing["other"] = member("controller", "c:1")
    assert [each.name for each in stack.probe("shop", needed=True).services] == ["controller"]
    monkeypatch.setattr(compose_stack, "in_container", lambda: False)
    assert len(stack.probe("shop", needed=True).services) == 2


def member(service: str, image: str) -> docker.Container:
    """A running container of the project."""
    labels = {own_container.LABEL_PROJECT: "shop", own_container.LABEL_SERVICE: service}
    return docker.Container(service, f"shop-{service}", image, "sha256:1", labels, "running", "", None, {})


def test_h12_without_proc_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("_MOUNTS", "_GROUPS"):
        monkeypatch.setattr(own_container, name, tmp_path / "nothing")
    monkeypatch.setattr(socket, "gethostname", lambda: "web-1")
    assert traces() == containers.NOWHERE
