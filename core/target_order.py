"""In which order targets are converged, and which of their exit codes is that of them all.

Pure: names in, names out. `controller.targets` reads the names from the settings.
"""

from collections.abc import Mapping


def ordered(after: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names, each behind those that it is `after`, and otherwise as they stand. Names that are no keys do not
    count. Names of a `cycle`, and those behind it, are left out."""
    placed: list[str] = []
    waiting = list(after)
    while (ready := next((name for name in waiting if _is_ready(after[name], waiting)), None)) is not None:
        waiting.remove(ready)
        placed.append(ready)
    return tuple(placed)


def _is_ready(before: tuple[str, ...], waiting: list[str]) -> bool:
    return not any(name in waiting for name in before)


def cycle(after: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The first names that wait for each other, the first one again at the end; () when there are none."""
    left = {name: after[name] for name in after if name not in ordered(after)}
    if not left:
        return ()
    seen: list[str] = []
    name = next(iter(left))
    while name not in seen:
        seen.append(name)
        name = next(one for one in left[name] if one in left)
    return (*seen[seen.index(name) :], name)
