"""The allow-list of the socket proxy: what passes, and what does not, whatever it looks like (docs/security.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from core import engine_calls, provisioning

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "engine-calls.md"
ID = "a1" * 32
NAME = provisioning.container_name("shop")
CREATE = {"name": [NAME]}

PASSES = [
    ("HEAD", "/_ping", {}),
    ("GET", "/v1.45/_ping", {}),
    ("GET", "/v1.45/version", {}),
    ("GET", "/v1.45/containers/json", {"all": ["1"]}),
    ("GET", f"/v1.45/containers/{ID}/json", {}),
    ("GET", "/v1.45/images/127.0.0.1:5010/e2e-hello:latest/json", {}),
    ("GET", f"/images/registry:5010/a/b@sha256:{ID}/json", {}),
    ("POST", f"/v1.45/images/sha256:{ID}/tag", {"repo": ["r"]}),
    ("POST", "/v1.45/images/127.0.0.1:5010/e2e-hello/push", {"tag": ["latest"]}),
    ("POST", "/v1.45/images/create", {"fromImage": ["provisioner"], "tag": ["1"]}),
    ("GET", "/v1.45/events", {"until": ["1.5"]}),
    ("POST", "/session", {}),
    ("POST", "/grpc", {}),
    ("POST", "/v1.45/containers/create", CREATE),
    ("POST", f"/v1.45/containers/{ID}/start", {}),
    ("DELETE", f"/v1.45/containers/{ID}", {"force": ["1"]}),
]

REFUSED = [
    ("POST", f"/v1.45/containers/{ID}/exec", {}),
    ("POST", f"/v1.45/exec/{ID}/start", {}),
    ("POST", "/v1.45/containers/prune", {}),
    ("POST", "/v1.45/volumes/prune", {}),
    ("POST", "/v1.45/volumes/create", {}),
    ("POST", "/v1.45/images/prune", {}),
    ("POST", "/v1.45/build", {}),
    ("POST", "/v1.45/build/prune", {}),
    ("POST", "/v1.45/networks/create", {}),
    ("POST", "/v1.45/swarm/init", {}),
    ("POST", f"/v1.45/containers/{ID}/update", {}),
    ("POST", f"/v1.45/containers/{ID}/rename", {"name": [NAME]}),
    ("PUT", f"/v1.45/containers/{ID}/archive", {}),
    ("GET", f"/v1.45/containers/{ID}/archive", {"path": ["/"]}),
    ("GET", f"/v1.45/containers/{ID}/export", {}),
    ("GET", "/v1.45/images/get", {}),
    ("POST", "/v1.45/images/load", {}),
    ("DELETE", "/v1.45/images/busybox", {}),
    ("DELETE", "/v1.45/volumes/data", {}),
    ("DELETE", "/v1.45/containers/shop-gateway-1", {}),
    ("GET", "/v1.45/secrets", {}),
    ("POST", "/v1.45/commit", {}),
    ("POST", "/v1.45/plugins/pull", {}),
    # the right path in the wrong words
    ("POST", "/v1.45/containers/create", {}),
    ("POST", "/v1.45/containers/create", {"name": ["shop-gateway-1"]}),
    ("POST", "/v1.45/containers/create", {"name": [NAME, "x"]}),
    ("POST", "/v1.45/containers/create", {"name": [provisioning.container_name("")]}),
    ("POST", "/v1.45/containers/create", {"name": [f"x;{NAME}"]}),
    ("POST", "/v1.45/images/create", {"fromSrc": ["-"]}),
    ("POST", "/v1.45/images/create", {"fromImage": [""], "fromSrc": ["-"]}),
    ("GET", "/v1.45/events", {}),
    ("GET", "/v1.45//containers/json", {}),
    ("GET", f"/v1.45/images/../containers/{ID}/archive/json", {}),
    ("GET", "/v1.45/images/%2e%2e/x/json", {}),
    ("GET", "/v1.45/containers/json/", {}),
    ("GET", "/v1/containers/json", {}),
    ("get", "/v1.45/version", {}),
    ("POST", "/v1.45/version", {}),
    ("GET", "", {}),
]


@pytest.mark.parametrize(("method", "path", "query"), PASSES)
def test_what_a_controller_asks_passes(method: str, path: str, query: Mapping[str, list[str]]) -> None:
    assert engine_calls.judged(method, path, query) is not None


@pytest.mark.parametrize(("method", "path", "query"), REFUSED)
def test_whatever_else_is_refused(method: str, path: str, query: Mapping[str, list[str]]) -> None:
    assert engine_calls.judged(method, path, query) is None


def test_what_changes_a_container_names_it() -> None:
    """So that it can be looked at before: only a provisioner's may be meant."""
    about = [call for call in engine_calls.CALLS if "{id}" in call.path and call.method != "GET"]
    assert len(about) == 6
    for call in about:
        assert call.own
        judged = engine_calls.judged(call.method, call.path.replace("{id}", ID), {})
        assert (judged.container if judged else None) == ID


@hypothesis.given(strategies.text(alphabet="/.%abjson_pingversionimagescontainers0123456789:@", max_size=40))
def test_property_no_path_that_leads_elsewhere_passes(text: str) -> None:
    judged = engine_calls.judged("GET", f"/images/{text}/json", {})
    assert judged is None or not (".." in text or "//" in text or "%" in text)


def objection(host: Mapping[str, Any], *mounts: str) -> str:
    """What is said against a container with this part of its configuration."""
    networks: Mapping[str, Any] = {"EndpointsConfig": {"shop_default": {}}}
    body = {"Image": "provisioner:1", "Labels": {"a": "1", "A": "2"}, "HostConfig": host, "NetworkingConfig": networks}
    return engine_calls.objection(body, mounts)


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"Privileged": False, "CapAdd": None, "CapDrop": ["ALL"], "NetworkMode": "shop_default", "AutoRemove": True},
        {"MaskedPaths": None, "ReadonlyPaths": None, "PidMode": "", "IpcMode": "private", "Devices": []},
        {"Binds": ["shop_config:/app/config:rw", "/srv/config:/c"], "Mounts": [{"Type": "tmpfs", "Target": "/t"}]},
        {"Mounts": [{"Type": "volume", "Source": "shop_config", "Target": "/c"}, {"Type": "volume", "Target": "/d"}]},
        {"Mounts": [{"Type": "bind", "Source": "/srv/config", "Target": "/c"}]},
    ],
)
def test_a_provisioner_may_be_made(host: Mapping[str, Any]) -> None:
    assert objection(host, "shop_config", "/srv/config") == ""


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ({"Privileged": True}, "privileged"),
        ({"privileged": True}, "privileged"),
        ({"PRIVILEGED": True}, "privileged"),
        ({"Privileged": False, "privileged": True}, "twice"),
        ({"Privıleged": True}, "client"),
        ({"CapAdd": ["SYS_ADMIN"]}, "capadd"),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, "devices"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "securityopt"),
        ({"MaskedPaths": []}, "maskedpaths"),
        ({"ReadonlyPaths": []}, "readonlypaths"),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, "devicerequests"),
        ({"DeviceCgroupRules": ["a *:* rwm"]}, "devicecgrouprules"),
        ({"CgroupParent": "/system.slice"}, "cgroupparent"),
        ({"Cgroup": "container:x"}, "cgroup"),
        ({"Sysctls": {"net.ipv4.ip_forward": "1"}}, "sysctls"),
        ({"Runtime": "other"}, "runtime"),
        ({"Annotations": {"org.systemd.property.CPUWeight": "1"}}, "annotations"),
        ({"VolumeDriver": "remote"}, "volumedriver"),
        ({"VolumesFrom": ["shop-db-1"]}, "volumesfrom"),
        ({"PidMode": "host"}, "pidmode"),
        ({"NetworkMode": "host"}, "networkmode"),
        ({"IpcMode": "container:x"}, "ipcmode"),
        ({"UsernsMode": "host"}, "usernsmode"),
        ({"Binds": ["/:/host"]}, "mounts /,"),
        ({"binds": ["/:/host"]}, "mounts /,"),
        ({"Binds": ["/srv/config/link:/host"]}, "/srv/config/link"),
        ({"Binds": ["/srv/config/../..:/host"]}, "/srv/config/../.."),
        ({"Binds": ["other_data:/d"]}, "other_data"),
        ({"Binds": ["./x:/d"]}, "cannot be read"),
        ({"Binds": ["/srv/config"]}, "cannot be read"),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/h"}]}, "mounts /,"),
        ({"Mounts": [{"Type": "bind", "Target": "/h"}]}, "mounts ,"),
        ({"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/h"}]}, "npipe"),
        (
            {
                "Mounts": [
                    {"Type": "volume", "Target": "/h", "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind"}}}}
                ]
            },
            "volume",
        ),
        ({"Mounts": ["x"]}, "client"),
        ([], ""),
    ],
)
def test_no_container_that_reaches_the_host_is_made(host: Any, named: str) -> None:
    """Also when the fields are spelt as no client does, and the engine would take them."""
    said = objection(host, "shop_config", "/srv/config")
    assert (bool(said), named in said) == (host != [], True)


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], "x", 1, {"HostConfig": "x"}, {"HostConfig": {}, "hostconfig": {}}),
        {"NetworkingConfig": {"EndpointsConfig": {"host": {}}}},
        {"NetworkingConfig": {"endpointsconfig": {"shop_default": {}, "container:x": {}}}},
    ],
)
def test_a_body_that_is_none_makes_no_container(body: object) -> None:
    assert engine_calls.objection(body, ()) != ""


def test_the_document_lists_the_same_calls() -> None:
    """In the same order, with the same reasons and the same conditions."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert rows == [
        [
            f"`{call.method} {call.path}`",
            call.why,
            "; ".join(
                (
                    *(["with " + ", ".join(f"`{name}`" for name in call.needs)] if call.needs else []),
                    *(["a provisioner's only"] if call.own else []),
                    *(["becomes a stream"] if call.streams else []),
                )
            ),
        ]
        for call in engine_calls.CALLS
    ]
