"""I1: which deliveries are genuine, and which of them say that something was pushed."""

import hypothesis
import pytest
from hypothesis import strategies as st

from core import rates, webhooks
from tests.fakes import deliveries

NOW_S = 1_800_000_000.0
V = webhooks.Verdict


def verdict(
    headers: deliveries.Headers | list[tuple[bytes, bytes]],
    body: bytes = deliveries.BODY,
    secret: str = deliveries.SECRET,
) -> webhooks.Verdict:
    """What comes of a delivery whose body comes in two pieces."""
    listed = headers if isinstance(headers, list) else deliveries.raw(headers)
    delivery = webhooks.Delivery(listed, secret.encode(), now_s=NOW_S)
    delivery.take(body[:7])
    delivery.take(body[7:])
    return delivery.verdict()


@pytest.mark.parametrize("forge", deliveries.FORGES)
def test_i1_a_push_of_every_forge_is_taken(forge: str) -> None:
    assert verdict(deliveries.FORGES[forge](deliveries.BODY)) is V.LOOK


@pytest.mark.parametrize("forge", [name for name in deliveries.FORGES if name != "gitlab"])
def test_i1_another_body_is_refused(forge: str) -> None:
    """Also one that means the same: a signature is over bytes, not over JSON."""
    headers = deliveries.FORGES[forge](deliveries.BODY)
    for other in (b"", deliveries.BODY + b"\n", deliveries.BODY.replace(b"1.0", b"1"), deliveries.BODY[:-1]):
        assert verdict(headers, other) is V.REFUSED


@pytest.mark.parametrize("forge", deliveries.FORGES)
def test_i1_another_secret_is_refused(forge: str) -> None:
    headers = deliveries.FORGES[forge](deliveries.BODY)
    for other in (deliveries.SECRET + "x", deliveries.SECRET[:-1], deliveries.SECRET.upper()):
        assert verdict(headers, secret=other) is V.REFUSED


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, V.UNSIGNED),
        ({"X-GitHub-Event": "push"}, V.UNSIGNED),
        ({"X-Hub-Signature": f"sha1={deliveries.digest(deliveries.BODY, kind='sha1')}"}, V.UNSIGNED),
        ({"Authorization": f"Bearer {deliveries.SECRET}"}, V.UNSIGNED),
        ({"X-Hub-Signature-256": ""}, V.REFUSED),
        ({"X-Hub-Signature-256": "sha256="}, V.REFUSED),
        ({"X-Hub-Signature-256": deliveries.digest(deliveries.BODY)}, V.REFUSED),
        ({"X-Hub-Signature-256": f"sha256={deliveries.digest(deliveries.BODY).upper()}"}, V.REFUSED),
        ({"X-Hub-Signature-256": f"SHA256={deliveries.digest(deliveries.BODY)}"}, V.REFUSED),
        ({"X-Hub-Signature-256": f"sha1={deliveries.digest(deliveries.BODY, kind='sha1')}"}, V.REFUSED),
        ({"X-Hub-Signature-256": f"sha256={deliveries.digest(deliveries.BODY)}0"}, V.REFUSED),
        ({"X-Gitea-Signature": deliveries.digest(deliveries.BODY).upper()}, V.REFUSED),
        ({"X-Gitea-Signature": f"sha256={deliveries.digest(deliveries.BODY)}"}, V.REFUSED),
        ({"X-Gitlab-Token": ""}, V.REFUSED),
        ({"X-Gitlab-Token": "é" * 28}, V.REFUSED),
        ({"webhook-signature": "v1,"}, V.REFUSED),
    ],
)  # fmt: skip
def test_i1_what_proves_nothing(headers: deliveries.Headers, wanted: webhooks.Verdict) -> None:
    """None, empty, in upper case, with another algorithm, in another form."""
    assert verdict(headers) is wanted


@pytest.mark.parametrize("forge", deliveries.FORGES)
def test_i1_a_signature_twice_is_refused_even_when_both_are_right(forge: str) -> None:
    headers = deliveries.raw(deliveries.FORGES[forge](deliveries.BODY))
    names = [name for name, _ in headers if b"signature" in name or b"token" in name]
    again = next((name, value) for name, value in headers if name == names[-1])
    assert verdict([*headers, again]) is V.REFUSED


def test_i1_a_good_signature_does_not_make_up_for_a_wrong_one() -> None:
    good = deliveries.github(deliveries.BODY)
    assert verdict({**good, "X-Gitlab-Token": "wrong"}) is V.REFUSED
    assert verdict({**good, "X-Gitea-Signature": deliveries.digest(b"other")}) is V.REFUSED
    assert verdict({**good, "X-Gitlab-Token": deliveries.SECRET}) is V.LOOK


@pytest.mark.parametrize("late_s", [0, 299, -299])
def test_gitlab_s_signing_token(late_s: int) -> None:
    """GitLab's documentation of webhooks: HMAC over id, time and body, with the key in base64 after ``whsec_``."""
    headers = deliveries.standard(deliveries.BODY, now_s=NOW_S - late_s)
    assert verdict(headers, secret=deliveries.STANDARD_SECRET) is V.LOOK
    two = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    assert verdict(two, secret=deliveries.STANDARD_SECRET) is V.LOOK


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-timestamp": str(int(NOW_S) - 10 * 86400)},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-id": "msg-2"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": ""},
    ],
)
def test_i1_gitlab_s_signing_token_wrong(change: deliveries.Headers) -> None:
    headers = {**deliveries.standard(deliveries.BODY, now_s=NOW_S), **change}
    assert verdict(headers, secret=deliveries.STANDARD_SECRET) is V.REFUSED
    missing = {name: value for name, value in headers.items() if name not in change}
    if "webhook-signature" not in change:
        assert verdict(missing, secret=deliveries.STANDARD_SECRET) is V.REFUSED


@pytest.mark.parametrize("days", [1, 10])
def test_i1_a_delivery_of_days_ago_is_refused_where_its_time_is_signed(days: int) -> None:
    headers = deliveries.standard(deliveries.BODY, now_s=NOW_S - days * 86400)
    assert verdict(headers, secret=deliveries.STANDARD_SECRET) is V.REFUSED


@pytest.mark.parametrize(
    ("forge", "event", "wanted"),
    [
        (deliveries.github, "ping", V.PING),
        (deliveries.github, "issues", V.OTHER),
        (deliveries.gitea, "issues", V.OTHER),
        (deliveries.forgejo, "release", V.OTHER),
        (deliveries.bitbucket, "repo:refs_changed", V.LOOK),
        (deliveries.bitbucket, "diagnostics:ping", V.PING),
        (deliveries.bitbucket, "pr:opened", V.OTHER),
        (deliveries.gitlab, "Tag Push Hook", V.LOOK),
        (deliveries.gitlab, "System Hook", V.LOOK),
        (deliveries.gitlab, "Issue Hook", V.OTHER),
    ],
)
def test_what_an_event_amounts_to(forge: object, event: str, wanted: webhooks.Verdict) -> None:
    assert callable(forge)
    assert verdict(forge(deliveries.BODY, event=event)) is wanted


@pytest.mark.parametrize("secret", ["", "short", "x" * 15, "whsec_c2hvcnQga2V5"])
def test_i1_a_weak_secret_is_never_used(secret: str) -> None:
    assert not webhooks.is_strong(secret.encode())
    with pytest.raises(ValueError, match="short"):
        webhooks.Delivery([], secret.encode(), now_s=NOW_S)


@hypothesis.given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(sorted(webhooks._KNOWN | webhooks._EVENTS | {b"webhook-id", b"webhook-timestamp"})),
            st.binary(max_size=80),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=200),
)
def test_i1_nothing_made_up_is_genuine(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Any headers, any body: a verdict, and never one that asks for a look."""
    assert verdict(headers, body) in (V.UNSIGNED, V.REFUSED)


RATE = rates.Rate(at_once=3, per_minute=6.0)


def test_i6_so_many_at_once_and_then_one_in_so_many_seconds() -> None:
    bucket, waits = rates.full(RATE, now_s=100.0), []
    for now_s in (100.0, 100.0, 100.0, 100.0, 105.0, 110.0, 110.0, 1000.0, 1000.0, 1000.0, 1000.0):
        bucket, wait_s = rates.taken(bucket, RATE, now_s=now_s)
        waits.append(wait_s)
    assert waits == [0, 0, 0, 10, 5, 0, 10, 0, 0, 0, 10]


@hypothesis.given(steps=st.lists(st.floats(min_value=-1, max_value=30), max_size=80))
def test_i6_the_rate_holds_over_any_times(steps: list[float]) -> None:
    """Also over a clock that goes backwards; and who waits as long as he was told to is granted his wish."""
    bucket, now_s, forward_s, granted = rates.full(RATE, now_s=0.0), 0.0, 0.0, 0
    for step in steps:
        now_s, forward_s = now_s + step, forward_s + max(step, 0.0)
        bucket, wait_s = rates.taken(bucket, RATE, now_s=now_s)
        granted += not wait_s
        assert rates.taken(bucket, RATE, now_s=now_s + wait_s)[1] == 0 or not wait_s
    assert granted <= 3 + forward_s / 10 + 1e-6
