"""Whether a bundle registry is there and lets us read."""

import os

from modelops.bundles.access import RegistryAccess
from modelops.bundles.stores import REGISTRY_SCHEME, layout_folder
from modelops.core.errors import BundleError


def why_unreachable(access: RegistryAccess) -> str:
    """Return why bundles can't be read from a registry, for people; empty if they can.

    A server is asked once, so this may take as long as the server does.
    """
    url = access.url
    try:
        path = layout_folder(url)
        if path is not None:
            if not path.is_dir():
                return f"There is no folder {path}."
            return "" if os.access(path, os.R_OK | os.X_OK) else f"The folder {path} can't be read."
        # What speaks to a registry takes long to import.
        from modelops.bundles.transport import RegistryTransport  # noqa: PLC0415

        host = url.removeprefix(REGISTRY_SCHEME).partition("/")[0]
        RegistryTransport(host, access).ping()
    except BundleError as error:
        return str(error)
    return ""
