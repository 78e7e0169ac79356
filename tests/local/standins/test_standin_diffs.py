"""What counts as a change, and what a change replaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.diffs import ANY, Change, changes, path_text, prune, quantity, response, same
from local.standins.properties import UNKNOWN, Json, annotate, from_json, has_unknown, plain, secret

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_properties_survive_the_way_in_and_out(value: Json) -> None:
    assert plain(from_json(value)) == value


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_equal_properties_have_no_changes(value: dict[str, Json]) -> None:
    if not has_unknown(value):
        assert changes(value, value) == {}


@given(JSON)
def test_pruning_to_its_own_shape_changes_nothing(value: Json) -> None:
    assert prune(value, value) == value


@pytest.mark.parametrize(
    ("one", "other"), [("0.5", "500m"), (1, "1"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("100n", "0.1u"), ("2", "2000m")]
)
def test_quantities_are_compared_by_what_they_mean(one: Json, other: Json) -> None:
    assert quantity(one) == quantity(other)
    assert same(one, other, ("spec", "containers", 0, "resources", "limits", "cpu"))
    assert not same(one, other, ("metadata", "labels", "size"))


def test_true_is_not_one() -> None:
    assert changes({"a": True}, {"a": 1}) == {("a",): Change.UPDATE}


def test_an_unknown_counts_as_changed() -> None:
    assert changes({"a": "x"}, {"a": UNKNOWN, "b": UNKNOWN}) == {("a",): Change.UPDATE, ("b",): Change.ADD}


def test_pruning_drops_server_defaults_keeps_spelling_and_shows_drift() -> None:
    shape: Json = {"limits": {"cpu": "0.5"}, "labels": {"a": "1", "gone": "x"}, "empty": {}, "list": [{"name": "a"}]}
    live: Json = {
        "limits": {"cpu": "500m"},
        "labels": {"a": "2"},
        "list": [{"name": "a", "protocol": "TCP"}],
        "status": {},
    }
    assert prune(live, shape) == {
        "limits": {"cpu": "0.5"},
        "labels": {"a": "2"},
        "empty": {},
        "list": [{"name": "a"}],
    }


def test_a_change_on_below_or_above_a_replacing_path_replaces() -> None:
    found = changes(
        {"spec": {"selector": {"a": 1}, "containers": [{"image": "a", "name": "x"}]}, "data": {"k": "v"}},
        {"spec": {"selector": {"a": 2}, "containers": [{"image": "b", "name": "y"}]}},
    )
    replacing = [("spec", "selector"), ("spec", "containers", ANY, "image"), ("data", "k")]
    answer = response(found, replacing=replacing, delete_before_replace=True)
    assert set(answer.replaces) == {"spec.selector.a", "spec.containers[0].image", "data"}
    assert answer.deleteBeforeReplace
    kinds = {path: pb.PropertyDiff.Kind.Name(diff.kind) for path, diff in answer.detailedDiff.items()}
    assert kinds["spec.containers[0].name"] == "UPDATE"
    assert kinds["data"] == "DELETE_REPLACE"


def test_delete_before_replace_needs_a_replacement() -> None:
    assert not response({("a",): Change.UPDATE}, replacing=[], delete_before_replace=True).deleteBeforeReplace


def test_dotted_keys_are_quoted_in_paths() -> None:
    assert path_text(("metadata", "annotations", "a.b/c", 0)) == 'metadata.annotations["a.b/c"][0]'


def test_secretness_follows_the_inputs_and_a_list_with_a_secret_is_secret() -> None:
    like = from_json({"a": "x", "b": ["x"]})
    assert not annotate({"a": "1"}, like).contains_secret()
    assert annotate({"a": "1", "c": "2"}, secret({"a": "1"})).is_secret
    mixed = {"list": from_json([]).with_value([secret("x")])}
    assert annotate({"list": ["x", "y"]}, from_json({}).with_value(mixed)).value["list"].is_secret
