"""The stack's registry, as a test looks at it and damages it."""

from dataclasses import dataclass

from e2e.harness import docker, web
from tests.fakes import daemons

KINDS = ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.v2")
MANIFESTS = ", ".join(f"application/vnd.{kind}+json" for kind in KINDS)


@dataclass(frozen=True)
class Registry:
    """`address` is the name that this host and its engine use, such as 127.0.0.1:5010."""

    port: int
    container: str

    @property
    def address(self) -> str:
        """As the build host pushes."""
        return f"127.0.0.1:{self.port}"

    def repositories(self) -> tuple[str, ...]:
        """Every repository, in order."""
        found = web.Client(self.port).get("/v2/_catalog?n=1000").json()
        return tuple(sorted(found.get("repositories") or ()))

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository; none for one that does not exist."""
        answer = web.Client(self.port).get(f"/v2/{repository}/tags/list")
        return tuple(sorted(answer.json().get("tags") or ())) if answer.status == 200 else ()

    def digest(self, repository: str, reference: str = "latest") -> str:
        """The digest of a tag's manifest; "" without one."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = web.Client(self.port).ask("HEAD", path, headers={"Accept": MANIFESTS})
        return answer.headers.get("Docker-Content-Digest", "") if answer.status == 200 else ""

    def delete(self, repository: str, digest: str) -> None:
        """Remove a manifest by its digest, and every tag on it with it."""
        answer = web.Client(self.port).ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        if answer.status != 202:
            raise AssertionError(f"registry: DELETE {repository}@{digest}: {answer.status} {answer.text}")

    def push(self, image: str, name: str) -> None:
        """Push an image of the engine as `name` (repository:tag), and drop that name again."""
        target = f"{self.address}/{name}"
        docker.docker("tag", image, target)
        docker.docker("push", "--quiet", target)
        docker.docker("image", "rm", target)

    def stop(self) -> None:
        """Make it unreachable; what it holds stays."""
        docker.docker("stop", "--time", "1", self.container)

    def start(self) -> None:
        """Make it answer again."""
        docker.docker("start", self.container)
        daemons.until(self._answers)

    def _answers(self) -> bool:
        try:
            return web.Client(self.port).get("/v2/").status == 200
        except OSError:
            return False
