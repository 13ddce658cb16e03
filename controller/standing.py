"""How targets stand, for those who are told of changes only (faults.md I7).

Beneath `controller.followers`. Owns that a target stands as it did for as long as it is the same one, which new
settings may change. What happened before this process is in the record.
"""

from pathlib import Path

from controller import settings, telling, worker

_Places = tuple[Path | None, Path | None]


class Standings:
    """Of all targets, by their places."""

    def __init__(self) -> None:
        self._failing: dict[_Places, telling.Failing] = {}

    def of(self, given: settings.Settings) -> telling.Failing:
        """How the target of these settings stands."""
        place = given.config_dir, given.state_dir
        if place not in self._failing:
            self._failing[place] = telling.Failing("" if worker.recorded_failure(given) else None)
        return self._failing[place]

    def keep(self, wanted: tuple[settings.Settings, ...]) -> None:
        """Forget every other target."""
        places = {(one.config_dir, one.state_dir) for one in wanted}
        self._failing = {place: one for place, one in self._failing.items() if place in places}
