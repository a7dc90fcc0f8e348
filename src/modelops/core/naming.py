"""StackNaming: the only place that makes names of stacks, namespaces and cloud resources."""

import getpass
import re
from dataclasses import dataclass

from modelops.core.errors import UsageError

DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ACR_MIN, _ACR_MAX = 5, 50
_STACK_MAX = 100  # the engine takes no longer names


def check_dns_label(text: str, what: str) -> str:
    """Return `text` if it is a DNS label (RFC 1123), which names of environments and runs are.

    Raises:
        UsageError: if it isn't one.
    """
    if not DNS_LABEL.fullmatch(text):
        raise UsageError(
            f"{what} {text!r} isn't a DNS label.",
            hint="Use at most 63 lower-case letters, digits and -, with no - at either end.",
        )
    return text


@dataclass(frozen=True)
class StackNaming:
    """Names for one environment. Names are made here and never parsed anywhere."""

    env: str
    username: str = ""

    def __post_init__(self) -> None:
        check_dns_label(self.env, "environment")
        if not self.username:
            object.__setattr__(self, "username", getpass.getuser())

    def project(self, component: str) -> str:
        """Return the Pulumi project of a component (`registry`, `infra`, …)."""
        return f"modelops-{component}"

    def stack(self, component: str, run_id: str | None = None) -> str:
        """Return the name of a component's stack; a run's stack carries the run-id.

        Raises:
            UsageError: if the run-id isn't a DNS label, or the engine takes no such long name.
        """
        name = f"modelops-{component}-{self.env}"
        if run_id is not None:
            name = f"{name}-{check_dns_label(run_id, 'run-id')}"
        if len(name) > _STACK_MAX:
            raise UsageError(
                f"The stack's name {name!r} has {len(name)} characters, over {_STACK_MAX}.",
                hint="Choose a shorter environment or run-id.",
            )
        return name

    def stack_reference(self, component: str, organization: str = "organization") -> str:
        """Return the full name by which another stack refers to a component's stack."""
        return f"{organization}/{self.project(component)}/{self.stack(component)}"

    def namespace(self) -> str:
        """Return the Kubernetes namespace of the workspace."""
        return f"modelops-dask-{self.env}"

    def resource_group(self) -> str:
        """Return the Azure resource group."""
        return f"modelops-{self.env}-rg-{_user_label(self.username)}"

    def container_registry(
        self, *, random: str = "", per_user: bool | None = None, name: str | None = None
    ) -> str:
        """Return the Azure container registry: globally unique, alphanumeric, 5 to 50 characters.

        One per developer in the environment `dev`, one per organisation elsewhere; `per_user`
        decides otherwise, and an explicit `name` overrides all.

        Raises:
            UsageError: if an explicit name isn't allowed, or the organisation's lacks its random
                part.
        """
        if name is not None:
            if not re.fullmatch(r"[A-Za-z0-9]+", name) or not _ACR_MIN <= len(name) <= _ACR_MAX:
                raise UsageError(
                    f"{name!r} can't be a container registry's name.",
                    hint=f"Use {_ACR_MIN} to {_ACR_MAX} letters and digits.",
                )
            return name
        is_per_user = self.env == "dev" if per_user is None else per_user
        suffix = re.sub(r"[^a-z0-9]", "", self.username.lower()) if is_per_user else random
        if not suffix:
            raise UsageError(
                "the organisation's registry needs its random part"
                if not is_per_user
                else f"user {self.username!r} has no letter or digit to name a registry after"
            )
        prefix = f"modelops{self.env.replace('-', '')}acr"
        return f"{prefix[: _ACR_MAX - len(suffix)]}{suffix}"[:_ACR_MAX]


def _user_label(username: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", username.lower()).strip("-") or "user"
