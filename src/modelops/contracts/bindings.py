"""What infrastructure tells a run: environment, secret references, addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from modelops.contracts.canonical import JSONValue
from modelops.contracts.errors import ContractError


@dataclass(frozen=True)
class SecretRef:
    """Where a secret value lies; never the value.

    Attributes:
        kind: `k8s` (name is a Secret, key a key in it) or `file` (name is a path; key is empty).
    """

    kind: Literal["k8s", "file"]
    name: str
    key: str = ""


@dataclass(frozen=True)
class Address:
    """Where a service listens. `scheme` is the protocol as in a URL (`tcp`, `tls`, `http`)."""

    host: str
    port: int
    scheme: str

    def __str__(self) -> str:
        """Return the address as a URL without a path."""
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class BindingOutputs:
    """What a stack hands on: to the next stack, and in the end to the run.

    Attributes:
        env: plain environment variables (DASK_SCHEDULER, OBJECT_STORE_URL, …); no secret is here.
        secrets: environment variable → where its value lies.
        addresses: service → where it listens.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("env", "secrets", "addresses"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def merged(self, other: "BindingOutputs") -> "BindingOutputs":
        """Return both together; where both name a thing, the other's wins."""
        return BindingOutputs(
            env={**self.env, **other.env},
            secrets={**self.secrets, **other.secrets},
            addresses={**self.addresses, **other.addresses},
        )

    def includes(self, other: "BindingOutputs") -> bool:
        """Return whether all that `other` names is here, and the same."""
        return all(
            getattr(self, part).get(name) == value
            for part in ("env", "secrets", "addresses")
            for name, value in getattr(other, part).items()
        )

    def only(self, *beginnings: str) -> "BindingOutputs":
        """Return the variables and secrets whose names begin with one of these; all addresses."""
        return BindingOutputs(
            env={name: value for name, value in self.env.items() if name.startswith(beginnings)},
            secrets={
                name: ref for name, ref in self.secrets.items() if name.startswith(beginnings)
            },
            addresses=self.addresses,
        )

    def to_json(self) -> dict[str, JSONValue]:
        """Return the bindings as JSON, as a stack's outputs hold them."""
        return {
            "env": dict(self.env),
            "secrets": {
                name: {"kind": ref.kind, "name": ref.name, "key": ref.key}
                for name, ref in self.secrets.items()
            },
            "addresses": {
                name: {"host": at.host, "port": at.port, "scheme": at.scheme}
                for name, at in self.addresses.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. A port that came back as a float is made whole again.

        Raises:
            ContractError: if a part is missing or of another form.
        """
        try:
            return cls(
                env=dict(value["env"]),
                secrets={name: SecretRef(**ref) for name, ref in value["secrets"].items()},
                addresses={
                    name: Address(at["host"], int(at["port"]), at["scheme"])
                    for name, at in value["addresses"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(f"these aren't binding outputs: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.env), dict(self.secrets), dict(self.addresses)))
