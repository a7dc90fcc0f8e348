"""Who manages which field, as the stand-in for the Kubernetes plugin reads it."""

from kubernetes_provider.fields import must_force, taken_over, without_ignored

OURS = "pulumi-kubernetes-0a1b2c3d"


def _entry(manager, operation, fields, subresource=None):
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return {**entry, "subresource": subresource} if subresource else entry


def _live(*entries, replicas=5):
    metadata = {"name": "workers", "resourceVersion": "12", "managedFields": list(entries)}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


_REPLICAS = {"f:spec": {"f:replicas": {}}}
_IMAGE = {"f:spec": {"f:image": {}}}


def test_the_creators_fields_go_to_the_manager():
    status = _entry("kube-controller-manager", "Update", {"f:status": {}}, "status")
    live = _live(_entry("pulumi-kubernetes", "Update", _REPLICAS), status)

    patch = taken_over(live, OURS)

    assert patch == [
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [status, _entry(OURS, "Apply", _REPLICAS)],
        },
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "12"},
    ]


def test_they_join_what_the_manager_has():
    live = _live(_entry(OURS, "Apply", _IMAGE), _entry("pulumi-kubernetes", "Update", _REPLICAS))

    patch = taken_over(live, OURS)

    both = {"f:spec": {"f:image": {}, "f:replicas": {}}}
    assert patch is not None
    assert patch[0]["value"] == [_entry(OURS, "Apply", both)]


def test_others_keep_theirs():
    assert taken_over(_live(_entry("scaler", "Update", _REPLICAS, "scale")), OURS) is None


def test_an_ignored_field_of_anothers_is_left_out():
    live = _live(_entry("scaler", "Update", _REPLICAS, "scale"), _entry(OURS, "Apply", _IMAGE))

    done = without_ignored({"spec": {"replicas": 1, "image": "i"}}, live, OURS, ["spec.replicas"])

    assert done == {"spec": {"image": "i"}}


def test_an_ignored_field_of_ours_keeps_its_present_value():
    live = _live(_entry(OURS, "Apply", _REPLICAS))

    done = without_ignored({"spec": {"replicas": 1}}, live, OURS, ["spec.replicas"])

    assert done == {"spec": {"replicas": 5}}


def test_an_ignored_field_that_is_not_there_comes_from_the_program():
    inputs = {"spec": {"replicas": 1, "image": "i"}}

    assert without_ignored(inputs, _live(), OURS, ["spec.image"]) == inputs


def test_only_previews_take_by_force_what_a_real_update_takes_over():
    created = _live(_entry("pulumi-kubernetes", "Update", _REPLICAS))
    anothers = _live(_entry("scaler", "Update", _REPLICAS))

    assert must_force(False, created, preview=True)
    assert not must_force(False, created, preview=False)
    assert not must_force(False, anothers, preview=True)
    assert must_force(True, anothers, preview=False)
    assert must_force(False, None, preview=True)
