"""Several stacks on one host: a controller.yml with `targets`, each with a folder of artifacts and a CONFIG_DIR."""

import json
from pathlib import Path
from typing import Any

from tests.fakes import command


class Stacks:
    """Shops by name below one folder, and the settings that name them all."""

    def __init__(self, folder: Path, *names: str, **common: Any) -> None:
        self.folder = folder
        self.file = folder / "controller.yml"
        self.common: dict[str, Any] = {"interval": "1h", **common}
        self.shops: dict[str, command.Shop] = {}
        self.settings: dict[str, dict[str, Any]] = {}
        for name in names:
            self.add(name)
        self.write()

    def __getitem__(self, name: str) -> command.Shop:
        return self.shops[name]

    def add(self, name: str, **own: Any) -> command.Shop:
        """One more; not written yet."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        shop = self.shops[name] = command.Shop(place)
        self.settings[name] = {
            "source": {"directory": {"path": str(shop.source)}},
            "config_dir": str(shop.config),
            **own,
        }
        return shop

    def set(self, name: str, **own: Any) -> None:
        """Change settings of one; not written yet."""
        self.settings[name] |= own

    def unwatched(self) -> None:
        """No target hears of files: only the first look, its interval, or somebody else wakes it. Written."""
        for name, shop in self.shops.items():
            self.set(name, source={"directory": {"path": str(shop.source), "watch": False}})
        self.write()

    def write(self) -> None:
        """Write controller.yml."""
        self.file.write_text(json.dumps({**self.common, "targets": self.settings}), encoding="utf-8")
