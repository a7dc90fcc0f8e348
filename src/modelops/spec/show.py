"""A spec as YAML, with every default filled in."""

from collections.abc import Mapping
from typing import Any

import yaml

from modelops.spec.models import Part, RuntimeSpec
from modelops.spec.yaml_text import Dumper


def to_yaml(spec: RuntimeSpec) -> str:
    """Return the spec as YAML, with every default filled in.

    What has no value (no limit, the provider's own choice) is left out. Loading the text gives an
    equal spec.
    """
    text: str = yaml.dump(
        to_data(spec),
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return text


def to_data(value: Any) -> Any:
    """Return a part of a spec as plain dicts and lists with the keys of the file."""
    if isinstance(value, Part):
        fields = type(value).model_fields.items()
        known = {info.alias or name: getattr(value, name) for name, info in fields}
        stated = {key: item for key, item in known.items() if item is not None}
        # An option that was set to null is kept: it may mean something to its owner.
        return to_data({**stated, **(value.model_extra or {})})
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    return value
