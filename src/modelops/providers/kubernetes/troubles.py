"""What keeps parts of an environment from being ready, while somebody waits for them."""

import datetime
from collections.abc import Mapping
from typing import Any

from modelops.providers.kubernetes.cluster import api
from modelops.providers.kubernetes.objects import get_all
from modelops.providers.kubernetes.reasons import reasons, when


def find_troubles(properties: Mapping[str, Any], since: datetime.datetime) -> tuple[str, ...]:
    """Ask the cluster and return a line for each thing that isn't ready and whose cause is known.

    Args:
        properties: those that every component of the provider has (`Settings.common`).
        since: what the cluster warned of before doesn't count.

    Raises:
        ProviderError: if the cluster can't be asked.
    """
    namespace = properties["namespace"]
    with api(properties) as asked:
        pods, events, deployments, sets = (
            get_all(asked, kind, namespace)
            for kind in ("Pod", "Event", "Deployment", "StatefulSet")
        )
    warnings = [event for event in events if _is_since(event, since)]
    return reasons(pods, warnings, [*deployments, *sets])


def _is_since(event: Mapping[str, Any], since: datetime.datetime) -> bool:
    # To the second, as the cluster notes it.
    text = when(event)
    return bool(text) and datetime.datetime.fromisoformat(text) >= since.replace(microsecond=0)
