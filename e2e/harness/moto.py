"""What DynamoDB and S3 hold, asked of moto's own view: no AWS library in the tests."""

from dataclasses import dataclass

from e2e.harness import web


@dataclass(frozen=True)
class Moto:
    """The stack's moto server."""

    port: int

    def tables(self) -> tuple[str, ...]:
        """Names of the tables, in order."""
        return self._names("dynamodb", "Table", "name")

    def buckets(self) -> tuple[str, ...]:
        """Names of the buckets, in order."""
        return self._names("s3", "FakeBucket", "name")

    def reset(self) -> None:
        """Forget everything."""
        web.Client(self.port).ask("POST", "/moto-api/reset")

    def _names(self, service: str, kind: str, key: str) -> tuple[str, ...]:
        held = web.Client(self.port).get("/moto-api/data.json").json()
        return tuple(sorted(each[key] for each in held.get(service, {}).get(kind, [])))
