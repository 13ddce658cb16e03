"""Edits in place: only the changed scalars differ (contract.md section 3, sync-ids keeps comments, order, quoting)."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import yaml_edit

NEW = "new-0123abcd"


def _set_ids(document: Any) -> bool:
    for entry in document["artifacts"]:
        entry["id"] = NEW
    return True


CASES = {
    "plain value": ("artifacts:\n  - id: old\n    a: 1\n", "artifacts:\n  - id: new-0123abcd\n    a: 1\n"),
    "quotes stay": (
        "artifacts:\n- id: \"old\"   # c\n  a:   'x'\n- id: 'old'\n",
        "artifacts:\n- id: \"new-0123abcd\"   # c\n  a:   'x'\n- id: 'new-0123abcd'\n",
    ),
    "a missing id goes first": (
        "artifacts:\n    -   a: 1\n        b: 2\n",
        "artifacts:\n    -   id: new-0123abcd\n        a: 1\n        b: 2\n",
    ),
    "a missing id goes below the comment": (
        "artifacts:\n-\n  # why\n  a: 1\n",
        "artifacts:\n-\n  # why\n  id: new-0123abcd\n  a: 1\n",
    ),
    "flow style": ("artifacts: [ {a: 1,  b: [x,y]}, {id:  old } ]", None),
    "line endings": ("---\r\nartifacts:\r\n- a: 1\r\n  b: 2\r\n", "---\r\nartifacts:\r\n- id: new-0123abcd\r\n  a: 1\r\n  b: 2\r\n"),
    "everything else is left alone": (
        "\ufeff%YAML 1.2\n# top\n---\nartifacts:   \n- id: old\n  long: " + "word " * 60 + "\n  wrapped: >-\n    a\n     b\n\n\n"
        "  [a,   b]  : {x:    1}\n".replace("[a,   b]  ", "'k'  ") + "z:   ~   # end\n...\n# after\n",
        None,
    ),
    "an empty value": ("artifacts:\n- id:\n  a: 1\n- id:   # none\n", "artifacts:\n- id: new-0123abcd\n  a: 1\n- id: new-0123abcd   # none\n"),
    "no newline at the end": ("artifacts:\n- id: old", "artifacts:\n- id: new-0123abcd"),
    "characters of several bytes before": ("# 😀é\nartifacts:\n- id: old # é\n", "# 😀é\nartifacts:\n- id: new-0123abcd # é\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_only_the_ids_change(name: str) -> None:
    text, expected = CASES[name]
    if expected is None:
        expected = text.replace("{a: 1", f"{{id: {NEW}, a: 1").replace("old", NEW)
    edited = yaml_edit.edit(text.encode(), _set_ids)
    assert edited is not None
    assert edited.decode() == expected


def test_nothing_changed_is_none() -> None:
    assert yaml_edit.edit(b"artifacts: []\n", lambda _: False) is None


REFUSED = {
    "an alias": "artifacts:\n- &a {x: 1}\n- *a\n",
    "a merge key": "b: &b {id: old}\nartifacts:\n- <<: *b\n  id2: x\n",
    "an anchor": "artifacts:\n- id: &i old\n",
    "a block scalar": "artifacts:\n- id: |\n    old\n",
    "an explicit key": "artifacts:\n- ? a\n  : 1\n",
    "an empty entry": "artifacts:\n- {}\n",
    "not YAML": "artifacts: [\n",
    "a duplicate key": "artifacts: []\nartifacts: []\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_edited_is_refused_and_not_reformatted(name: str) -> None:
    with pytest.raises(yaml_edit.EditError):
        yaml_edit.edit(REFUSED[name].encode(), _set_ids)


def _add_a_list(document: Any) -> bool:
    document["artifacts"] = [1]
    return True


def _remove(document: Any) -> bool:
    del document["artifacts"]
    return True


def _add_a_mapping(document: Any) -> bool:
    document["x"] = {}
    return True


@pytest.mark.parametrize("change", [_add_a_list, _remove, _add_a_mapping])
def test_other_changes_than_of_scalars_are_refused(change: Any) -> None:
    with pytest.raises(yaml_edit.EditError):
        yaml_edit.edit(b"artifacts: []\n", change)


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.text(max_size=8),
        "id": st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
        "b": st.text(max_size=8),
    },
).filter(bool)


@given(
    st.lists(ENTRIES, min_size=1, max_size=4),
    st.sampled_from([None, "'", '"']),
    st.booleans(),
    st.integers(2, 6),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_layout_keeps_every_line_without_an_id(
    entries: list[dict[str, str]], quotes: Any, flow: bool, indent: int
) -> None:
    style = None if flow else False
    written = yaml.safe_dump(
        {"artifacts": entries, "z": 1},
        default_style=quotes,
        default_flow_style=style,
        indent=indent,
        sort_keys=False,
        width=9999,
    )
    if quotes:
        written = written.replace("!!int ", "").replace(f"{quotes}1{quotes}", "1")
    try:
        edited = yaml_edit.edit(written.encode(), _set_ids)
    except yaml_edit.EditError as error:
        assert "differently" in str(error)  # a writer of YAML 1.1 leaves the numbers of 1.2 bare
        return
    assert edited is not None
    assert [entry["id"] for entry in yaml.safe_load(edited)["artifacts"]] == [NEW] * len(entries)
    if not flow:
        kept = [line.lstrip(" -") for line in written.splitlines() if "id" not in line]
        after = [line.lstrip(" -") for line in edited.decode().splitlines() if "id" not in line]
        assert after == kept
