"""What the stand-in for the Kubernetes plugin takes for a change, and which one replaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernetes_provider.changes import Change, changes, must_go_first, parsed, pruned
from kubernetes_provider.immutable import replacing_fields
from kubernetes_provider.normalising import canonical_quantity, normal

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def _deployment(**spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "workers", "namespace": "fit"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, **spec},
    }


def _names(found: list[Change]) -> dict[str, str]:
    return {str(change): change.kind.name for change in found}


@given(_JSON)
def test_nothing_differs_from_itself(value):
    assert changes({"spec": value}, {"spec": value}, [], []) == []


@given(st.dictionaries(st.text(max_size=3), _JSON))
def test_what_the_cluster_added_is_pruned(inputs):
    live = {**inputs, "status in the cluster": {"ready": True}}

    assert pruned(live, inputs) == inputs


def test_changes_are_told_by_the_engines_paths():
    old = {"spec": {"a": 1, "gone": 2, "list": [{"x": 1, "y": 2}, {"x": 3}]}, "metadata": {}}
    new = {
        "spec": {"a": 2, "list": [{"x": 1}, {"x": 3}, {"x": 4}]},
        "metadata": {"annotations": {"a.b/c": "d"}},
    }

    found = _names(changes(old, new, [], []))

    assert found == {
        "spec.a": "UPDATE",
        "spec.gone": "DELETE",
        "spec.list[0].y": "DELETE",
        "spec.list[2]": "ADD",
        "metadata.annotations": "ADD",
    }


def test_one_is_not_true():
    assert _names(changes({"a": 1}, {"a": True}, [], [])) == {"a": "UPDATE"}


@pytest.mark.parametrize(
    ("changed", "replaces"),
    [
        ({"replicas": 2}, []),
        ({"selector": {"matchLabels": {"app": "b"}}}, ["spec.selector.matchLabels.app"]),
        ({"template": {"spec": {"nodeName": "n"}}}, []),
    ],
)
def test_a_deployments_selector_replaces_it(changed, replaces):
    old, new = _deployment(), _deployment(**changed)

    found = changes(old, new, replacing_fields(new), [])

    assert [str(change) for change in found if change.replaces] == replaces


def test_a_field_replaces_that_comes_within_a_new_one():
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}}
    new = {**job, "spec": {"template": {"spec": {"restartPolicy": "Never"}}}}

    found = changes(job, new, replacing_fields(new), [])

    assert _names(found) == {"spec": "ADD_REPLACE"}


def test_data_replace_unless_they_may_change():
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "YQ=="}}
    changed = {**secret, "data": {"a": "Yg=="}}

    fixed = changes(secret, changed, replacing_fields(changed), [])
    mutable = changes(secret, changed, replacing_fields(changed, mutable_secrets=True), [])
    immutable = replacing_fields({**changed, "immutable": True}, mutable_secrets=True)

    assert _names(fixed) == {"data.a": "UPDATE_REPLACE"}
    assert _names(mutable) == {"data.a": "UPDATE"}
    assert ("data",) in immutable


@pytest.mark.parametrize("ignored", ["spec.replicas", "spec", 'spec["replicas"]', "spec.*"])
def test_ignored_changes_do_not_count(ignored):
    assert parsed("spec.*") == ("spec", "*")
    assert changes(_deployment(), _deployment(replicas=3), [], [ignored]) == []


def test_paths_are_read():
    path = 'spec.template.metadata.annotations["a.b/\\"c\\""].x[0].y[*]'

    steps = parsed(path)

    assert steps == ("spec", "template", "metadata", "annotations", 'a.b/"c"', "x", "0", "y", "*")
    with pytest.raises(ValueError, match="ignore path"):
        parsed('spec["a')


def test_only_a_fixed_name_has_to_go_first():
    named = {"metadata": {"name": "a", "namespace": "n"}}
    auto = {"metadata": {**named["metadata"], "annotations": {"pulumi.com/autonamed": "true"}}}

    assert must_go_first(named, named)
    assert not must_go_first(auto, named)
    assert not must_go_first({"metadata": {"name": "b", "namespace": "n"}}, named)
    assert not must_go_first({"metadata": {"name": "a", "namespace": "m"}}, named)


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        (0.5, "500m"),
        (2, "2"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("500M", "500M"),
        ("5000M", "5G"),
        ("0", "0"),
        ("0Gi", "0"),
        ("much", "much"),
    ],
)
def test_quantities_are_written_as_the_server_does(given_, canonical):
    assert canonical_quantity(given_) == canonical


def test_inputs_are_compared_in_the_servers_form():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "resourceVersion": "7", "uid": "u"},
        "spec": {"containers": [{"resources": {"limits": {"cpu": "1000m"}}}]},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "YQ==", "b": "Yg=="},
        "stringData": {"b": "c"},
    }
    custom = {"apiVersion": "example.com/v1", "kind": "K", "limits": {"cpu": "1000m"}, "x": []}
    labelled = {"apiVersion": "v1", "kind": "Pod", "labels": {}, "x": [], "y": {}, "z": None}

    assert normal(pod)["metadata"] == {"name": "p"}
    assert normal(pod)["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert normal(secret)["data"] == {"a": "YQ==", "b": "Yw=="}
    assert "stringData" not in normal(secret)
    assert normal(custom) == custom
    assert normal(labelled) == {"apiVersion": "v1", "kind": "Pod", "y": {}}
