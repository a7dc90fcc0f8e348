"""References to bundles: a repository, where it is, and what names one bundle of it.

A digest pins a bundle's content: everything that runs has one. A tag is for people, and names
another bundle as soon as somebody pushes: it is resolved to a digest before anything runs.
"""

import re
from dataclasses import dataclass
from typing import Self

from modelops.contracts.errors import ContractError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""The digest of what a registry holds."""
# Name components and tags as in the OCI distribution spec 1.1, "Pulling manifests".
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
"""A repository's name, without its bound of 255 characters."""
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""A tag."""
HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
)
"""A registry's host, with its port."""
_FOLDER = r"(?:(?!\.\.?/)[^/\x00-\x1f\x7f]+/)"
_LAYOUT = re.compile(rf"/{_FOLDER}*")
REFERENCE = re.compile(
    # A digest alone looks like a tag of a repository named sha256.
    r"(?!(?:.*/)?sha256:[^/]*$)"
    rf"(?:(?:oci://{HOST.pattern}/)?{REPOSITORY.pattern}"
    rf"|oci-layout:(?://)?{_LAYOUT.pattern}{_COMPONENT})"
    rf"(?:[@:]{DIGEST.pattern}|:{TAG.pattern})"
)
"""What `parse_reference` takes, for those who can only match (JSON Schema)."""

_OCI, _OCI_LAYOUT = "oci://", "oci-layout:"
_PINNED_FORMS = (
    "repository@sha256:<64 hex digits>, oci://host/repository@sha256:<64 hex digits> or "
    "oci-layout:/absolute/path/repository@sha256:<64 hex digits>"
)
_FORMS = f"{_PINNED_FORMS}, or a tag instead of the digest, as in repository:1.0.0"


@dataclass(frozen=True)
class BundleRef:
    """A bundle pinned by digest.

    Attributes:
        repository: the OCI repository, without a host; one component if it's in `layout`.
        digest: `sha256:` and 64 lower-case hex digits, that of the bundle's OCI manifest.
        host: the registry's host and port.
        layout: instead of a host, the absolute path of a directory of OCI image layouts.

    Without `host` and `layout` it is in the environment's own registry.

    Raises:
        ContractError: if a part isn't of that form.
    """

    repository: str
    digest: str
    host: str | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        _check_place(self.repository, self.host, self.layout)
        check_digest(self.digest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `repository@sha256:…`, `oci://host/repository@sha256:…`, the older
        `oci://host/repository:sha256:…` or `oci-layout:/absolute/path/repository@sha256:…`.

        Raises:
            ContractError: that shows the accepted forms.
        """
        written = _Written.read(text, _PINNED_FORMS)
        if not written.is_pinned:
            raise ContractError(f"{text!r} isn't pinned by a digest. Write {_PINNED_FORMS}.")
        try:
            return cls(written.repository, written.name, written.host, written.layout)
        except ContractError as error:
            raise ContractError(f"{text!r}: {error}. Write {_PINNED_FORMS}.") from error

    @property
    def is_in_own_registry(self) -> bool:
        """Whether it is in the environment's own registry, wherever that is."""
        return self.host is None and self.layout is None

    def __str__(self) -> str:
        """Return the canonical form, which `parse` takes."""
        return f"{_in_place(self.repository, self.host, self.layout)}@{self.digest}"


@dataclass(frozen=True)
class BundleTag:
    """What a tag names now, and may not name tomorrow.

    Attributes:
        repository, host, layout: as those of a `BundleRef`.
        tag: up to 128 letters, digits and `. _ -`.

    Raises:
        ContractError: if a part isn't of that form.
    """

    repository: str
    tag: str
    host: str | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        _check_place(self.repository, self.host, self.layout)
        check_tag(self.tag)
        if self.repository.rpartition("/")[2] == "sha256":
            raise ContractError("there is a digest, but no repository before it")

    @property
    def is_in_own_registry(self) -> bool:
        """Whether it is in the environment's own registry, wherever that is."""
        return self.host is None and self.layout is None

    def pinned(self, digest: str) -> BundleRef:
        """Return the reference of what the tag names, at the same place."""
        return BundleRef(self.repository, digest, self.host, self.layout)

    def __str__(self) -> str:
        """Return the canonical form, which `parse_reference` takes."""
        return f"{_in_place(self.repository, self.host, self.layout)}:{self.tag}"


def parse_reference(text: str) -> BundleRef | BundleTag:
    """Read what `BundleRef.parse` takes, or the same with `:tag` in the place of the digest.

    Raises:
        ContractError: that shows the accepted forms.
    """
    written = _Written.read(text, _FORMS)
    kind = BundleRef if written.is_pinned else BundleTag
    try:
        return kind(written.repository, written.name, written.host, written.layout)
    except ContractError as error:
        raise ContractError(f"{text!r}: {error}. Write {_FORMS}.") from error


def check_digest(text: str) -> None:
    """Raise ContractError unless `text` is exactly `sha256:` and 64 lower-case hex digits."""
    if not isinstance(text, str) or not DIGEST.fullmatch(text):
        raise ContractError(f"{text!r} isn't sha256: and 64 lower-case hex digits")


def check_tag(text: str) -> None:
    """Raise ContractError unless `text` is a tag of the OCI distribution spec."""
    if not isinstance(text, str) or not TAG.fullmatch(text):
        raise ContractError(
            f"{text!r} isn't a tag: up to 128 letters, digits and . _ -, the first no . or -"
        )


def check_repository(text: str) -> None:
    """Raise ContractError unless `text` is a repository name of the OCI distribution spec."""
    if not isinstance(text, str) or len(text) > 255 or not REPOSITORY.fullmatch(text):
        raise ContractError(
            f"{text!r} isn't a repository: lower-case letters and digits, separated by "
            "single . _ - or /"
        )


@dataclass(frozen=True)
class _Written:
    """A reference taken apart. `name` is a digest, or what stands where a tag would."""

    repository: str
    name: str
    is_pinned: bool
    host: str | None = None
    layout: str | None = None

    @classmethod
    def read(cls, text: str, forms: str) -> Self:
        host: str | None = None
        layout: str | None = None
        rest = text
        if text.startswith(_OCI):
            host, _, rest = text.removeprefix(_OCI).partition("/")
            if "@" in host and rest:
                # Not shown: it may be a password.
                raise ContractError(f"A reference holds no user and no password. Write {forms}.")
        elif text.startswith(_OCI_LAYOUT):
            path = text.removeprefix(_OCI_LAYOUT)
            path = path.removeprefix("//") if path.startswith("///") else path
            layout, _, rest = path.rpartition("/")
            layout = layout or ("/" if path.startswith("/") else "")
        # Neither digests nor tags have a /, so that only the last component is of interest.
        above, slash, last = rest.rpartition("/")
        name = re.split("[@:]", last, maxsplit=1)[0]
        mark, following = last[len(name) : len(name) + 1], last[len(name) + 1 :]
        repository = f"{above}{slash}{name}"
        if not mark:
            raise ContractError(f"{text!r} has neither a digest nor a tag. Write {forms}.")
        if name == "sha256" and mark == ":":
            raise ContractError(f"{text!r} has no repository. Write {forms}.")
        is_pinned = mark == "@" or following.startswith("sha256:")
        return cls(repository, following, is_pinned, host, layout)


def _check_place(repository: str, host: str | None, layout: str | None) -> None:
    check_repository(repository)
    if host is not None and not HOST.fullmatch(host):
        raise ContractError(f"{host!r} isn't a registry's host")
    if layout is None:
        return
    if host is not None:
        raise ContractError("a bundle is on a host or in a directory, not both")
    is_folder = layout == "/" or (layout != "" and _LAYOUT.fullmatch(f"{layout}/"))
    if not is_folder or not _is_utf8(layout):
        raise ContractError(
            f"{layout!r} isn't the absolute path of a directory, without . and .. in it"
        )
    if "/" in repository:
        raise ContractError(f"{repository!r} has a /: in a directory, a repository has none")


def _in_place(repository: str, host: str | None, layout: str | None) -> str:
    if layout is not None:
        return f"{_OCI_LAYOUT}{layout.rstrip('/')}/{repository}"
    return repository if host is None else f"{_OCI}{host}/{repository}"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
