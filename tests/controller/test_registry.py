"""What a registry says, and what it says when it is down, slow, wrong or hostile (faults.md H10, G3, P8, F6, K1)."""

import gc
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from controller import docker, errors, registry, registry_http, registry_names, registry_replies
from tests.fakes import registries

CANARY = "canary-5ecret"
ELSEWHERE = "sha256:" + "e" * 64


@pytest.fixture
def fake() -> Iterator[registries.Registry]:
    with registries.running() as running:
        yield running


class Docker:
    """Stands for `docker.Engine.remote_manifest`."""

    def __init__(self, answer: docker.RemoteManifest | Exception | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, reference: str) -> docker.RemoteManifest | None:
        self.asked.append(reference)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def asking(
    fallback: Docker | None = None, *, deadline_s: float = 120, insecure: tuple[str, ...] = ()
) -> registry.Registry:
    return registry.Registry(insecure_hosts=insecure, deadline_s=deadline_s, fallback=fallback or Docker())


def why(answer: registry.Answer) -> str:
    assert not answer.digest
    assert not answer.absent
    return answer.unreachable


def test_a_digest_is_one_head_request(fake: registries.Registry) -> None:
    digest = fake.put("team/app:v1")
    assert asking().digest(f"{fake.address}/team/app:v1") == registry.Answer(digest)
    assert fake.requests == [("HEAD", "/v2/team/app/manifests/v1")]


def test_the_request_accepts_indexes_and_manifests_and_carries_no_credentials(fake: registries.Registry) -> None:
    """Without the types a registry converts to the oldest kind, whose digest nobody pulls."""
    asking().digest(f"{fake.address}/app")
    (headers,) = fake.headers
    assert set(headers["accept"].split(", ")) == registry_replies.MANIFESTS
    assert "authorization" not in headers
    assert "cookie" not in headers


def test_what_is_not_there_is_absent(fake: registries.Registry) -> None:
    answer = asking().digest(f"{fake.address}/app:none")
    assert answer.absent
    assert answer == registry.Answer()


def test_untagged_is_latest_and_a_digest_is_asked_as_such(fake: registries.Registry) -> None:
    digest = fake.put("app:latest")
    asked = asking()
    assert asked.digest(f"{fake.address}/app").digest == digest
    assert asked.digest(f"{fake.address}/app:other@{digest}").digest == digest
    assert asked.digest(f"{fake.address}/app@{ELSEWHERE}").absent


def test_questions_share_a_connection(fake: registries.Registry) -> None:
    asked = asking()
    for _ in range(5):
        asked.digest(f"{fake.address}/app")
    assert fake.connections == 1


def test_a_connection_that_the_registry_closed_is_made_anew(fake: registries.Registry) -> None:
    digest, asked = fake.put("app:v1"), asking()
    asked.digest(f"{fake.address}/app:v1")
    fake.drop_idle()
    assert asked.digest(f"{fake.address}/app:v1").digest == digest


def test_threads_have_connections_of_their_own(fake: registries.Registry) -> None:
    digests = {f"app{number}": fake.put(f"app{number}:v1") for number in range(6)}
    asked, found = asking(), {}

    def ask(name: str) -> None:
        for _ in range(20):
            found[name] = asked.digest(f"{fake.address}/{name}:v1").digest

    threads = [threading.Thread(target=ask, args=(name,)) for name in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == digests
    assert fake.connections <= len(digests)


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_registry_that_is_forgotten_leaves_no_socket_open(fake: registries.Registry) -> None:
    asked = asking()
    asked.digest(f"{fake.address}/app")
    del asked
    gc.collect()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (registries.Fault(500), "the registry answered with status 500"),
        (registries.Fault(503, {"Retry-After": CANARY}), "the registry answered with status 503"),
        (
            registries.Fault(429, {"Retry-After": "120"}),
            "the registry answered with status 429, and wants to be asked again after 120 s",
        ),
        (registries.Fault(drop=True), "the connection to the registry broke"),
        (registries.Fault(raw=b"\x00\xff garbage\r\n\r\n"), "the registry's answer is not HTTP, or ends too early"),
        (
            registries.Fault(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200),
            "the registry's answer is not HTTP, or ends too early",
        ),
        (
            registries.Fault(404, without=("Docker-Distribution-Api-Version",), headers={"Content-Type": "text/plain"}),
            "the registry's address answered with status 404, but not as a registry does",
        ),
        (
            registries.Fault(headers={"Content-Type": "text/html"}),
            "the registry answers with something that is no manifest of a known kind",
        ),
        (registries.Fault(302), "the registry redirects to something that is no address"),
    ],
    ids=["500", "503", "429", "drop", "garbage", "headers", "proxy-404", "html", "redirect-nowhere"],
)
def test_h10_no_answer_is_said_in_words(fake: registries.Registry, fault: registries.Fault, words: str) -> None:
    """H10: never absent, which would be taken for drift; never an exception; nothing of the answer is shown."""
    fake.put("app:v1")
    fake.fault(fault)
    assert why(asking().digest(f"{fake.address}/app:v1")) == words


def test_h10_nothing_listens() -> None:
    words = why(asking().digest(f"127.0.0.1:{registries.closed_port()}/app"))
    assert words == "nothing listens at the registry's address"


def test_h10_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for names on this machine, and however long it would take."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert why(asking(insecure=("registry.invalid",)).digest("registry.invalid/app")) == (
        "the registry's host is not known here"
    )


@pytest.mark.parametrize("fault", [registries.Fault(hang=True), registries.Fault(drip=True)], ids=["hang", "drip"])
def test_p8_a_registry_that_never_ends_its_answer_ends_at_the_deadline(
    fake: registries.Registry, fault: registries.Fault
) -> None:
    """P8: the deadline is for the whole question; each byte of a dripping answer comes within any timeout."""
    fake.fault(fault)
    assert why(asking(deadline_s=0.2).digest(f"{fake.address}/app")) == "the registry did not answer within 0.2 s"


def test_p8_a_resolver_that_never_answers_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        forever.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        answer = asking(deadline_s=0.05, insecure=("edge:5010",)).digest("edge:5010/app")
    finally:
        forever.set()
    assert why(answer) == "the registry did not answer within 0.05 s"


def test_p8_hanging_up_ends_every_question_at_once(fake: registries.Registry) -> None:
    """P8: a signal does not wait for the deadline."""
    fake.fault(registries.Fault(hang=True))
    asked = asking(deadline_s=3600)
    answers: list[registry.Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(asked.digest(f"{fake.address}/app")), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert fake.arrivals.acquire(timeout=60)
    asked.hang_up()
    for thread in threads:
        thread.join(60)
    assert [why(answer) for answer in answers] == ["the connection to the registry broke"] * 3
    assert why(asked.digest(f"{fake.address}/other"))
    assert fake.count("HEAD") == len(threads)


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        (registries.Fault(429), 1),
        (registries.Fault(drop=True), 1),
        (registries.Fault(hang=True), 1),
        (registries.Fault(500), 2),
    ],
    ids=["429", "drop", "hang", "500"],
)
def test_h10_a_host_that_did_not_answer_is_not_asked_again(
    fake: registries.Registry, fault: registries.Fault, again: int
) -> None:
    """H10: in one pass. A 500 may be about one image only."""
    fake.put("other:v1")
    fake.fault(fault)
    asked = asking(deadline_s=1.0 if fault.hang else 120)
    first = asked.digest(f"{fake.address}/app:v1")
    assert why(asked.digest(f"{fake.address}/other:v1")) == why(first)
    assert fake.count("HEAD") == again


@pytest.mark.parametrize("without", ["Docker-Content-Digest", ""], ids=["missing", "malformed"])
def test_without_a_digest_in_the_header_the_content_is_hashed(fake: registries.Registry, without: str) -> None:
    digest = fake.put("app:v1")
    fake.fault(registries.Fault(without=(without,), headers={} if without else {"Docker-Content-Digest": "sha256:12"}))
    assert asking().digest(f"{fake.address}/app:v1").digest == digest
    assert [method for method, _ in fake.requests] == ["HEAD", "GET"]


def test_a_registry_without_head_is_asked_with_get(fake: registries.Registry) -> None:
    digest = fake.put("app:v1")
    fake.fault(registries.Fault(405), "HEAD")
    assert asking().digest(f"{fake.address}/app:v1").digest == digest


def test_g3_a_digest_is_answered_by_another(fake: registries.Registry) -> None:
    digest = fake.put("app:v1")
    fake.fault(registries.Fault(headers={"Docker-Content-Digest": ELSEWHERE}))
    assert "another digest" in why(asking().digest(f"{fake.address}/app@{digest}"))


def test_g3_content_that_is_another_at_each_request_has_another_digest_each_time(fake: registries.Registry) -> None:
    asked = asking()
    fake.fault(registries.Fault(without=("Docker-Content-Digest",)))
    found = set()
    for number in range(3):
        fake.put("app:v1", labels={"n": str(number)})
        found.add(asked.digest(f"{fake.address}/app:v1").digest)
    assert len(found) == 3


def test_labels_are_those_of_the_image(fake: registries.Registry) -> None:
    digest = fake.put("app:v1", labels={"one": "1", "two": ""})
    assert asking().image(f"{fake.address}/app@{digest}") == registry.Image({"one": "1", "two": ""})


@pytest.mark.parametrize(
    ("created", "second"),
    [
        ("1985-11-05T00:53:20Z", 500_000_000),
        ("1985-11-05T00:53:20.000Z", 500_000_000),
        ("1985-11-05T01:53:20+01:00", 500_000_000),
        ("1985-11-05T00:53:20.000000001Z", None),
        ("1985-11-05T00:53:20", None),
        ("1985-13-05T00:53:20Z", None),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("yesterday", None),
        ("", None),
    ],
)
def test_h10_an_image_says_when_it_was_created(fake: registries.Registry, created: str, second: int | None) -> None:
    """H10: a label counts together with its second, and a part of a second is none."""
    digest = fake.put("app:v1", created=created)
    assert asking().image(f"{fake.address}/app@{digest}").created_s == second


def test_labels_of_an_index_are_those_of_the_platform(fake: registries.Registry) -> None:
    """Attestations, which BuildKit puts beside an image, are none."""
    images = {
        "unknown/unknown": fake.put("app:proof"),
        "linux/amd64": fake.put("app:amd", labels={"is": "amd"}),
        "linux/arm64": fake.put("app:arm", labels={"is": "arm"}),
    }
    digest, asked = fake.put_index("app:v1", images), asking()
    assert asked.digest(f"{fake.address}/app:v1").digest == digest
    assert asked.image(f"{fake.address}/app@{digest}").labels["is"] == "amd"
    assert asked.image(f"{fake.address}/app@{digest}", platform="linux/arm64/v8").labels["is"] == "arm"
    assert asked.image(f"{fake.address}/app@{digest}", platform="linux/s390x").labels == {}


@pytest.mark.parametrize("gone", ["manifests", "blobs"])
def test_labels_of_an_image_that_lacks_a_part_are_empty(fake: registries.Registry, gone: str) -> None:
    digest = fake.put("app:v1", labels={"one": "1"})
    fake.manifests.clear() if gone == "manifests" else fake.blobs.clear()
    assert asking().image(f"{fake.address}/app@{digest}").labels == {}


@pytest.mark.parametrize("part", ["manifests", "blobs"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (registries.Fault(lie=True), "content that does not have its digest"),
        (registries.Fault(cut=True), "ends too early"),
        (registries.Fault(body=b"{}"), "content that does not have its digest"),
        (registries.Fault(500), "status 500"),
    ],
    ids=["lie", "cut", "other", "500"],
)
def test_g3_labels_come_only_from_content_with_its_digest(
    fake: registries.Registry, part: str, fault: registries.Fault, words: str
) -> None:
    digest = fake.put("app:v2", labels={"version": "2"}, platform="linux2/amd64")
    fake.fault(fault, part)
    with pytest.raises(registry.NoAnswer, match=words):
        asking().image(f"{fake.address}/app@{digest}")


@pytest.mark.parametrize("promised", [True, False], ids=["length", "no-length"])
def test_g3_no_more_is_read_than_the_limit(fake: registries.Registry, promised: bool) -> None:
    """G3: a byte above the limit is enough to know."""
    content = b" " * (registry.LARGEST * 4)
    digest = fake.put_manifest("app:v1", content)
    if not promised:
        fake.fault(registries.Fault(without=("Content-Length",), headers={"Connection": "close"}, cut=True))
    with pytest.raises(registry.NoAnswer, match="more than 4 MiB"):
        asking().image(f"{fake.address}/app@{digest}")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"config": 1}', b'{"config": {"digest": "../x"}}', b"{}x", b"{}"],
)
def test_g3_garbage_under_its_right_digest(fake: registries.Registry, content: bytes) -> None:
    digest = fake.put_manifest("app:v1", content)
    asked = asking()
    if content == b"{}":
        assert asked.image(f"{fake.address}/app@{digest}").labels == {}
    else:
        with pytest.raises(registry.NoAnswer):
            asked.image(f"{fake.address}/app@{digest}")


@pytest.mark.parametrize(
    "config", [[], {"config": 1, "created": 1}, {"config": {"Labels": []}}, {"config": {"Labels": {"a": 1}}}]
)
def test_g3_a_configuration_without_labels(fake: registries.Registry, config: object) -> None:
    manifest = {"schemaVersion": 2, "mediaType": registries.OCI, "config": fake.blob(config, registries.CONFIG)}
    digest = fake.put_manifest("app:v1", manifest)
    if isinstance(config, dict):
        assert asking().image(f"{fake.address}/app@{digest}").labels == {}
    else:
        with pytest.raises(registry.NoAnswer):
            asking().image(f"{fake.address}/app@{digest}")


def test_g3_an_index_in_an_index_is_not_followed(fake: registries.Registry) -> None:
    inner = fake.put_index("app:inner", {"linux/amd64": fake.put("app:image")})
    digest = fake.put_index("app:v1", {"linux/amd64": inner})
    with pytest.raises(registry.NoAnswer, match="an index inside an index"):
        asking().image(f"{fake.address}/app@{digest}")
    assert fake.count("GET") == 2


def test_blobs_may_be_elsewhere(fake: registries.Registry) -> None:
    """Stores of objects give a signed address; it is asked without anything that was meant for the registry."""
    digest = fake.put("app:v1", labels={"one": "1"})
    with registries.running() as store:
        store.blobs.update(fake.blobs)
        fake.fault(
            registries.Fault(307, {"Location": f"http://{store.address}/v2/x/blobs/{next(iter(fake.blobs))}"}), "blobs"
        )
        assert asking().image(f"{fake.address}/app@{digest}").labels == {"one": "1"}
        assert "authorization" not in store.headers[0]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://127.0.0.1/x", "no address"),
        ("file:///etc/passwd", "no address"),
        ("http://[::1/x", "no address"),
        ("http://127.0.0.1:99999/x", "no address"),
        (f"http://user:{CANARY}@127.0.0.1:1/x", "an address with a password in it"),
        ("", "no address"),
        ("/v2/app/manifests/v1", "more than 4 times"),
    ],
)
def test_redirects_that_are_not_followed(fake: registries.Registry, location: str, words: str) -> None:
    """K1: and none is shown."""
    fake.fault(registries.Fault(302, {"Location": location}))
    told = why(asking().digest(f"{fake.address}/app:v1"))
    assert words in told
    assert CANARY not in told
    assert fake.count("HEAD") == (5 if "times" in words else 1)


def test_a_redirect_never_leads_from_tls_to_plain_text() -> None:
    with pytest.raises(registry_http.Unacceptable, match="from TLS to plain HTTP"):
        registry_http._target(registry_http.Address("ghcr.io", 443, secure=True), "/v2/", "http://ghcr.io/v2/")


def test_k1_nothing_of_an_answer_is_shown(fake: registries.Registry) -> None:
    """K1: bodies, reasons and headers of a registry may repeat what it was sent."""
    body = json.dumps({"errors": [{"message": CANARY}]}).encode()
    for status in (400, 500, 429, 418, 200, 404):
        fake.heal()
        headers = {"Content-Type": f"text/{CANARY}", "Retry-After": CANARY}
        fake.fault(registries.Fault(status, headers, body, without=("Docker-Distribution-Api-Version",)))
        assert CANARY not in why(asking().digest(f"{fake.address}/app"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_wants_a_login_is_asked_by_docker(fake: registries.Registry, status: int) -> None:
    fake.fault(registries.Fault(status))
    known = Docker(docker.RemoteManifest(ELSEWHERE, {"one": "1"}, 500_000_000))
    asked = asking(known)
    assert asked.digest(f"{fake.address}/app:v1").digest == ELSEWHERE
    assert asked.image(f"{fake.address}/app@{ELSEWHERE}") == registry.Image({"one": "1"}, 500_000_000)
    assert known.asked == [f"{fake.address}/app:v1"]


def test_after_a_401_docker_is_asked_at_once(fake: registries.Registry) -> None:
    fake.fault(registries.Fault(401))
    known = Docker()
    asked = asking(known)
    assert asked.digest(f"{fake.address}/app:v1").absent
    assert asked.digest(f"{fake.address}/app:v2").absent
    assert fake.count("HEAD") == 1
    assert len(known.asked) == 2


@pytest.mark.parametrize("reference", ["app", "team/app:v1", "docker.io/library/app", "index.docker.io/team/app"])
def test_docker_hub_is_asked_by_docker(reference: str) -> None:
    known = Docker(docker.RemoteManifest(ELSEWHERE, {}))
    assert asking(known).digest(reference).digest == ELSEWHERE
    assert known.asked == [reference]


def test_labels_of_what_docker_finds_under_another_digest_are_none() -> None:
    known = Docker(docker.RemoteManifest(ELSEWHERE, {"one": "1"}))
    assert asking(known).image(f"app@sha256:{'0' * 64}").labels == {}


@pytest.mark.parametrize(
    ("error", "words", "asked"),
    [
        (
            docker.CommandFailed(1, ("x", "ERROR: unauthorized")),
            "docker cannot ask the registry: ERROR: unauthorized",
            2,
        ),
        (docker.CommandFailed(1, ()), "docker cannot ask the registry: ", 2),
        (docker.DeadlinePassed(15, ()), "the registry did not answer docker within 15 s", 1),
        (errors.ControllerError("DockerUnavailable", "no engine"), "no engine", 1),
    ],
    ids=["no", "no-words", "hung", "no-engine"],
)
def test_h2_docker_fails_to_ask(error: Exception, words: str, asked: int) -> None:
    """H2: unknown, in words; a hung one is waited for once."""
    known = Docker(error)
    one = asking(known)
    assert why(one.digest("app:v1")) == words
    one.digest("app:v2")
    assert len(known.asked) == asked


def test_an_untrusted_certificate_is_left_to_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker reads certificates of its own, for each registry."""

    def refuse(*_: object) -> registry_http.Reply:
        raise ssl.SSLCertVerificationError(1, "self-signed")

    monkeypatch.setattr(registry_http.Connections, "ask", refuse)
    known = Docker(docker.RemoteManifest(ELSEWHERE, {}))
    assert asking(known).digest("registry.example/app").digest == ELSEWHERE


def test_tls_is_asked_of_everyone_but_loopback_and_insecure_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(_: object, at: registry_http.Address, *__: object) -> registry_http.Reply:
        seen.append(at)
        raise http.client.RemoteDisconnected("")

    monkeypatch.setattr(registry_http.Connections, "ask", note)
    asked = asking(insecure=("edge:5010/team",))
    for host in ("ghcr.io", "edge:5010", "edge", "127.8.0.1", "localhost:5010", "[::1]:5010"):
        asked.digest(f"{host}/app") if host != "edge" else asked.digest("edge:5011/app")
    assert seen == [
        registry_http.Address("ghcr.io", 443, secure=True),
        registry_http.Address("edge", 5010, secure=False),
        registry_http.Address("edge", 5011, secure=True),
        registry_http.Address("127.8.0.1", 80, secure=False),
        registry_http.Address("localhost", 5010, secure=False),
        registry_http.Address("::1", 5010, secure=False),
    ]


def test_a_tls_registry_that_speaks_plain_http_is_told(fake: registries.Registry) -> None:
    at = registry_http.Address("127.0.0.1", int(fake.address.partition(":")[2]), secure=True)
    question = registry_http.Question("GET", "/v2/", "*/*", 10)
    with pytest.raises(ssl.SSLError) as caught:
        registry_http.Connections().ask(at, question, registry_http.Deadline(20))
    assert "does not speak TLS" in registry_replies.failure(caught.value, 20)


def test_proxies_are_left_to_docker_but_never_for_loopback(
    fake: registries.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K1: an address of a proxy may have a password in it; it is not even read."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://user:{CANARY}@proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    digest = fake.put("app:v1")
    asked = asking()
    assert asked.digest(f"{fake.address}/app:v1").digest == digest
    assert asked.needs_docker("registry.example/app")
    assert not asked.needs_docker("inside.example/app")
    assert not asked.needs_docker("localhost:5010/app")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("app", ("docker.io", "library/app", "latest", "")),
        ("team/app:v1", ("docker.io", "team/app", "v1", "")),
        ("docker.io/app", ("docker.io", "library/app", "latest", "")),
        ("localhost/app", ("localhost", "app", "latest", "")),
        ("Edge/app", ("Edge", "app", "latest", "")),
        ("127.0.0.1:5010/a/b:v1", ("127.0.0.1:5010", "a/b", "v1", "")),
        ("[::1]:5010/a:v1", ("[::1]:5010", "a", "v1", "")),
        (f"edge:5010/a@{ELSEWHERE}", ("edge:5010", "a", "", ELSEWHERE)),
        (f"edge:5010/a:v1@{ELSEWHERE}", ("edge:5010", "a", "v1", ELSEWHERE)),
    ],
)
def test_f6_references_in_their_parts(reference: str, parts: tuple[str, ...]) -> None:
    name = registry_names.split(reference)
    assert (name.host, name.repository, name.tag, name.digest) == parts


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5010", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("x.localhost:1", True),
        ("[::1]:5010", True),
        ("10.0.0.1:5010", False),
        ("registry:5010", False),
        ("127.0.0.1.example", False),
    ],
)
def test_f6_loopback_by_name(host: str, expected: bool) -> None:
    assert registry_names.is_loopback(host) is expected
