"""What the engine and compose show, as the values of `controller.docker_values` and `core.compose_definition`.

Reads the JSON of ``docker inspect``, ``docker buildx imagetools inspect`` and ``docker compose config``. Lenient,
because engines differ: a field that is absent or of another type counts as empty, and a thing without an id as not
there. Values of environments never leave, except for the names that were asked for (faults.md P13). Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from controller import clock, docker_values, registry_names
from core import compose_definition, own_container

_ENDED = frozenset({"exited", "dead"})
_SHORTEST_ID = 12


def container(payload: Mapping[str, Any], environment: Collection[str] = ()) -> docker_values.Container | None:
    """One object of ``docker container inspect``, with these names of its environment."""
    if not _text(payload, "Id"):
        return None
    config, state = _object(payload, "Config"), _object(payload, "State")
    word, code = _text(state, "Status").lower(), state.get("ExitCode")
    health = _text(_object(state, "Health"), "Status").lower()
    return docker_values.Container(
        id=_text(payload, "Id"),
        name=_text(payload, "Name").removeprefix("/"),
        image=_text(config, "Image"),
        image_id=_text(payload, "Image"),
        labels=_labels(config),
        state=word,
        health="" if health == "none" else health,
        exit_code=code if word in _ENDED and isinstance(code, int) else None,
        environment=dict(_variables(_texts(config, "Env"), environment)),
        mounts=tuple(_mounts(payload)),
        layer=_text(_object(_object(payload, "GraphDriver"), "Data"), "UpperDir"),
    )


def _mounts(payload: Mapping[str, Any]) -> Iterator[own_container.Mount]:
    """What is mounted, a folder by the path that the engine was given: it may show another spelling of it."""
    host = _object(payload, "HostConfig")
    given = {parts[1]: parts[0] for one in _texts(host, "Binds") if len(parts := one.split(":")) > 1}
    given |= {_text(one, "Target"): _text(one, "Source") for one in _objects(host, "Mounts")}
    for one in _objects(payload, "Mounts"):
        kind, target, kept_at = _text(one, "Type"), _text(one, "Destination"), _text(one, "Source")
        bound = kind == own_container.BIND
        source = (given.get(target) or kept_at) if bound else _text(one, "Name")
        if target:
            yield own_container.Mount(kind, source, target, kept_at)
    for target in _object(host, "Tmpfs"):
        yield own_container.Mount("tmpfs", "", target)


def definition(payload: Mapping[str, Any], service: str) -> compose_definition.Definition:
    """What ``docker compose config --format json`` prints, with the mounts of this service."""
    services, volumes = _object(payload, "services"), _object(payload, "volumes")
    return compose_definition.Definition(
        needs={name: _needs(_object(services, name)) for name in services},
        mounts=tuple(_defined(payload, _object(services, service))),
        volumes={name: _text(_object(volumes, name), "name") or name for name in volumes},
    )


def _needs(service: Mapping[str, Any]) -> frozenset[str]:
    """Compose writes an object; a list of names means the same."""
    return frozenset(_object(service, "depends_on")) | frozenset(_texts(service, "depends_on"))


def _defined(payload: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[compose_definition.Defined]:
    volumes = _object(payload, "volumes")
    for one in _objects(service, "volumes"):
        kind, source, target = _text(one, "type"), _text(one, "source"), _text(one, "target")
        if kind == own_container.VOLUME and source:
            source = _text(_object(volumes, source), "name") or source
        if source:
            yield compose_definition.Defined(kind, source, target, _text(_object(one, "volume"), "subpath"))
    for key in ("secrets", "configs"):  # files of the host, which compose mounts one by one
        for one in _objects(service, key):
            name = _text(one, "source")
            if file := _text(_object(_object(payload, key), name), "file"):
                yield compose_definition.Defined(own_container.BIND, file, _text(one, "target") or name)
    for name in _texts(service, "volumes_from"):
        other = _object(_object(payload, "services"), name.partition(":")[0])
        yield from _defined(payload, {"volumes": other.get("volumes")})


def image(payload: Mapping[str, Any]) -> docker_values.EngineImage | None:
    """One object of ``docker image inspect``."""
    if not _text(payload, "Id"):
        return None
    parts = (_text(payload, "Os"), _text(payload, "Architecture"), _text(payload, "Variant"))
    return docker_values.EngineImage(
        id=_text(payload, "Id"),
        tags=tuple(tag for tag in _texts(payload, "RepoTags") if not tag.startswith("<none>")),
        repo_digests=tuple(name for name in _texts(payload, "RepoDigests") if not name.startswith("<none>")),
        labels=_labels(_object(payload, "Config")),
        platform="/".join(part for part in parts if part),
        created_s=clock.whole_second(_text(payload, "Created")),
    )


def manifest(payload: Mapping[str, Any]) -> docker_values.RemoteManifest | None:
    """What ``imagetools inspect`` shows: of an image its labels and date, of an index those of the first with any."""
    digest = _text(_object(payload, "manifest"), "digest")
    if not digest:
        return None
    shown = _object(payload, "image")
    images = [shown, *(one for one in shown.values() if isinstance(one, dict))]
    first = next((one for one in images if _labels(_object(one, "config"))), {})
    created_s = clock.whole_second(_text(first, "created"))
    return docker_values.RemoteManifest(digest, _labels(_object(first, "config")), created_s)


def by_reference(
    references: Iterable[str], images: Collection[docker_values.EngineImage]
) -> Mapping[str, docker_values.EngineImage]:
    """Which of the images each reference (or id, whole or abbreviated) means; absent ones are left out."""
    named = {name: one for one in images for name in _names(one)}
    by_id = {one.id: one for one in images}
    found = ((reference, _by_id(reference, by_id) or named.get(_name(reference))) for reference in references)
    return {reference: one for reference, one in found if one is not None}


def _names(one: docker_values.EngineImage) -> Iterator[tuple[str, ...]]:
    for name in (*one.tags, *one.repo_digests):
        yield _name(name)


def _name(reference: str) -> tuple[str, ...]:
    """Equal for two references exactly when an engine takes them for the same: beside a digest, a tag means nothing."""
    parts = registry_names.split(reference)
    return *parts.place, "" if parts.digest else parts.tag, parts.digest


def _by_id(reference: str, images: Mapping[str, docker_values.EngineImage]) -> docker_values.EngineImage | None:
    digits = reference.removeprefix("sha256:")
    if len(digits) < _SHORTEST_ID or not set(digits) <= set("0123456789abcdef"):
        return None
    return next((one for key, one in images.items() if key.removeprefix("sha256:").startswith(digits)), None)


def _object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = payload.get(key)
    return found if isinstance(found, dict) else {}


def _objects(payload: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    found = payload.get(key)
    return tuple(one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def _text(payload: Mapping[str, Any], key: str) -> str:
    found = payload.get(key)
    return found if isinstance(found, str) else ""


def _texts(payload: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = payload.get(key)
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def _labels(config: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: value for name, value in _object(config, "Labels").items() if isinstance(value, str)}


def _variables(lines: Iterable[str], wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name in wanted:
            yield name, value
