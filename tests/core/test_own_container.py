"""Which container this process is in, and what its folders are called outside (faults.md H11, H12)."""

import hypothesis
import pytest
from hypothesis import strategies

from core import own_container as containers

OWN, OTHER = "a1" * 32, "b2" * 32
LAYER = "/var/lib/docker/overlay2/{0}/diff"
ROOT = "76 51 0:39 / / rw - overlay overlay rw,lowerdir=l/A:l/B,upperdir={layer},workdir=/w"
FILES = "\n".join(
    f"9{n} 76 254:0 /var/lib/docker/containers/{{id}}/{name} /etc/{name} rw,relatime - ext4 /dev/vda rw"
    for n, name in enumerate(("resolv.conf", "hostname", "hosts"))
)
CONFIG = "94 76 254:0 /var/lib/docker/volumes/shop_config/_data /config rw - ext4 /dev/vda rw"
GROUP_1, GROUP_2 = "4:memory:/docker/{id}\n0::/docker/{id}", "0::/"


def mounts(*, files: str = OWN, layer: str = LAYER.format("l-own"), more: str = CONFIG) -> str:
    """A container's mountinfo: its root, the engine's files of the container `files`, and a volume."""
    return "\n".join((ROOT.format(layer=layer), FILES.format(id=files), more))


def shown(one: str = OWN, layer: str = LAYER.format("l-own"), *targets: str) -> containers.Shown:
    """A container as the engine shows it."""
    return containers.Shown(
        one, tuple(containers.Mount("volume", "v", path) for path in targets or ("/config",)), layer
    )


@pytest.mark.parametrize("host_name", [OWN[:12], "custom", "vm", ""])
@pytest.mark.parametrize("groups", [GROUP_1.format(id=OWN), GROUP_2, ""])
def test_h12_it_is_found_whatever_its_name_and_its_groups_are(groups: str, host_name: str) -> None:
    """H12: cgroup versions 1 and 2, a host name of one's own, the host's network."""
    here = containers.traces(mounts(), groups, host_name)
    found = containers.chosen(here, [shown(OTHER, LAYER.format("l-other")), shown()])
    assert found is not None
    assert found.id == OWN


@pytest.mark.parametrize("groups", [GROUP_1.format(id=OWN), GROUP_2])
@pytest.mark.parametrize("tells_layers", [True, False])
def test_h12_the_container_whose_network_is_shared_is_another_one(groups: str, tells_layers: bool) -> None:
    """H12: with ``network_mode: container:…`` the engine's files and the host name are those of the other."""
    here = containers.traces(mounts(files=OTHER), groups, OTHER[:12])
    own, other = (LAYER.format("l-own"), LAYER.format("l-other")) if tells_layers else ("", "")
    found = containers.chosen(here, [shown(OTHER, other, "/data"), shown(OWN, own)])
    assert (found.id if found else None) == (OWN if groups != GROUP_2 else None)
    assert containers.chosen(here, [shown(OTHER, other, "/data")]) is None


def test_h12_layers_are_compared_by_their_name() -> None:
    """With many layers the kernel is told of them relative to the engine's folder."""
    here = containers.traces(mounts(layer="l-own/diff"), "", "")
    assert containers.chosen(here, [shown()]) is not None
    assert containers.chosen(here, [shown(OWN, LAYER.format("l-of-another-engine"))]) is None


@pytest.mark.parametrize("text", ["", "\n", "garbage", "1 2 3", "1 2 3 / / rw - overlay", f"x {OWN}", "\x00 - \x00"])
def test_h12_what_cannot_be_read_tells_nothing(text: str) -> None:
    assert containers.traces(text, "", "web-1").ids == ()


def test_h12_other_engines_leave_traces_that_ours_does_not_know() -> None:
    """A pod's sandbox has an id too; no container of the engine has it."""
    pod = f"9 7 0:1 /sandboxes/{OTHER}/hostname /etc/hostname rw - ext4 /dev/vda rw"
    here = containers.traces(pod, "", "web-1")
    assert here.ids == (OTHER,)
    assert containers.chosen(here, [shown()]) is None


MOUNTED = (
    containers.Mount("bind", "/srv/shop", "/stack", "/mnt/srv/shop"),
    containers.Mount("volume", "shop_config", "/stack/config", "/var/lib/docker/volumes/shop_config/_data"),
    containers.Mount("tmpfs", "", "/stack/tmp"),
    containers.Mount("bind", "/", "/host"),
)


@pytest.mark.parametrize(
    ("path", "words", "names"),
    [
        ("/stack", "/srv/shop of the engine's host", {"/srv/shop", "/mnt/srv/shop"}),
        ("/stack/a/b", "/srv/shop/a/b of the engine's host", {"/srv/shop/a/b", "/mnt/srv/shop/a/b"}),
        ("/stack/config", "the volume shop_config", {"shop_config", "/var/lib/docker/volumes/shop_config/_data"}),
        (
            "/stack/config/eu",
            "the volume shop_config, below it eu",
            {"/var/lib/docker/volumes/shop_config/_data/eu"},
        ),
        ("/host/etc", "/etc of the engine's host", {"/etc"}),
        ("/host", "/ of the engine's host", {"/"}),
    ],
)
def test_h12_the_nearest_mount_decides(path: str, words: str, names: set[str]) -> None:
    place = containers.place_of(path, MOUNTED)
    assert place is not None
    assert (str(place), set(place.names)) == (words, names)


@pytest.mark.parametrize("path", ["/", "/stacks", "/stack/tmp", "/stack/tmp/x", "/config"])
def test_h12_what_only_the_container_has_has_no_name_outside(path: str) -> None:
    assert containers.place_of(path, MOUNTED) is None


@hypothesis.given(strategies.text("ab/", max_size=8), strategies.text("ab/", max_size=8))
def test_h12_property_below_and_joined_are_inverse(folder: str, rest: str) -> None:
    """What is below a folder leads from there to the same path, and nothing is below what it only begins like."""
    path = containers.joined(folder, rest.strip("/"))
    if "//" not in path:
        assert containers.below(path, folder) == rest.strip("/")
    assert containers.below(f"/x{folder}", "/x") in (None, "", folder.strip("/"), folder[1:].rstrip("/"))


def test_a_volume_that_the_engine_named_is_nameless() -> None:
    assert [containers.is_nameless(containers.Mount("volume", name, "/c")) for name in (OWN, "shop")] == [True, False]
    assert not containers.is_nameless(containers.Mount("bind", f"/{OWN}", "/c"))
