"""Workers as containers of the Docker engine, over its socket.

Owns the calls of the engine's HTTP interface. The engine pulls from the registry under the name that its host knows
(REGISTRY_HOST), the files name it as the stack does (REGISTRY_NAME); nothing else is translated.
"""

import http.client
import json
import os
import socket
import urllib.parse
from typing import Any

from e2e.stack.gateway import workers

SOCKET = "/var/run/docker.sock"
SPEC = "esb.spec"
PORT = 8080


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


class EngineRuntime:
    """Containers beside the gateway, in its network."""

    def itself(self) -> Any:
        """What the engine knows of the gateway's own container."""
        return self._ask("GET", f"/containers/{socket.gethostname()}/json")

    def find(self, name: str) -> workers.Worker | None:
        """See workers.Runtime."""
        seen = self._ask("GET", f"/containers/{name}/json", absent=True)
        if seen is None or not seen["State"]["Running"]:
            return None
        addresses = [each["IPAddress"] for each in seen["NetworkSettings"]["Networks"].values()]
        return workers.Worker(seen["Config"]["Labels"].get(SPEC, ""), addresses[0], PORT)

    def start(self, wanted: workers.Wanted) -> workers.Worker:
        """See workers.Runtime."""
        image = self._pulled(wanted.image)
        network = next(iter(self.itself()["NetworkSettings"]["Networks"]))
        self._ask("DELETE", f"/containers/{wanted.name}?force=1", absent=True)
        body = {
            "Image": image,
            "Env": [f"{key}={value}" for key, value in wanted.environment.items()],
            "Labels": {SPEC: wanted.spec, "esb.project": os.environ["PROJECT"]},
            "HostConfig": {"NetworkMode": network},
        }
        self._ask("POST", f"/containers/create?name={wanted.name}", body)
        self._ask("POST", f"/containers/{wanted.name}/start")
        started = self.find(wanted.name)
        if started is None:
            raise workers.Unavailable(f"{wanted.name} ended at once")
        return started

    def _pulled(self, image: str) -> str:
        """The reference under which the engine has the image: by digest when there is one."""
        rest, _, digest = image.partition("@")
        rest = rest.replace(f"{os.environ['REGISTRY_NAME']}/", f"{os.environ['REGISTRY_HOST']}/", 1)
        folder, _, last = rest.rpartition("/")
        name, _, tag = last.partition(":")
        repository = f"{folder}/{name}" if folder else name
        reference = f"{repository}@{digest}" if digest else f"{repository}:{tag or 'latest'}"
        if digest and self._ask("GET", f"/images/{reference}/json", absent=True):
            return reference
        query = urllib.parse.urlencode({"fromImage": repository, "tag": digest or tag or "latest"})
        lines = self._ask("POST", f"/images/create?{query}", raw=True)
        failed = [json.loads(line)["error"] for line in lines.splitlines() if b'"error"' in line]
        if failed:
            raise workers.Unavailable(f"pull of {reference}: {failed[0]}")
        return reference

    def _ask(self, method: str, path: str, body: Any = None, *, absent: bool = False, raw: bool = False) -> Any:
        connection = _Connection("engine", timeout=120)
        try:
            content = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.NOT_FOUND and absent:
            return None
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise workers.Unavailable(f"{method} {path}: {text.decode(errors='replace').strip()}")
        return text if raw or not text else json.loads(text)
