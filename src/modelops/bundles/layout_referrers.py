"""Referrers in the index of an image layout, which lists manifests but not what they refer to."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from modelops.bundles.referrers import (
    ListedReferrer,
    Referrer,
    check_listed,
    refers_to,
)
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

_SUBJECT = "io.modelops.bundle.subject"
"""Annotation of an index's entry: the digest that it refers to, so that others needn't be read."""


def index_entry(referrer: Referrer) -> dict[str, Any]:
    """Return what stands for a referrer in a layout's index."""
    entry = referrer.listed.to_json()
    annotations = {**referrer.annotations, _SUBJECT: referrer.subject.digest}
    return {**entry, "annotations": annotations}


def referrers_of(
    ref: BundleRef,
    entries: Iterable[Mapping[str, Any]],
    read_manifest: Callable[[BundleRef], bytes],
) -> list[ListedReferrer]:
    """Return those entries of an index that refer to `ref`.

    Entries that don't say what they refer to, as other tools write them, are read. One that can't
    be read is returned: whoever takes it is told why.

    Raises:
        BundleError: if an entry isn't a descriptor, or there are more than `MAX_LISTED`.
    """
    return check_listed(
        (item for item in map(_parsed, entries) if _may_refer(item, ref, read_manifest)), ref.digest
    )


def _parsed(entry: Mapping[str, Any]) -> ListedReferrer:
    try:
        return ListedReferrer.model_validate(entry)
    except ValidationError as error:
        raise BundleError(f"The layout's index has an entry that isn't one: {error}") from error


def _may_refer(
    item: ListedReferrer, ref: BundleRef, read_manifest: Callable[[BundleRef], bytes]
) -> bool:
    said = item.annotations.get(_SUBJECT)
    if said is not None:
        return said == ref.digest
    try:
        data = read_manifest(replace(ref, digest=item.digest))
    except BundleError:
        return True
    return refers_to(data, ref)
