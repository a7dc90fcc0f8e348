"""The engine's errors in words, with what to do next."""

import os
import re
from textwrap import indent

from modelops.core.errors import EngineError
from modelops.core.settings import Home
from modelops.infra.events import readable
from modelops.infra.repair import TO_ASK, free_space

# What the Automation API puts before and behind an engine's own words.
_STDERR = re.compile(r"\n?\s*code: -?\d+\s*\n\s*stdout:.*?\n\s*stderr:\s*", re.DOTALL)
_ENDED = re.compile(r"\s*code: -(\d+)\b")

_CAUSES = (
    (
        re.compile(r"(?im)no space left on device|^the disk of .* is full"),
        "Free some space on the disk of {root}, then run the command again.",
    ),
    (
        re.compile(r"passphrase", re.IGNORECASE),
        (
            "The stacks are encrypted with the passphrase that they were made with: set "
            "PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to it. Without either, mops "
            "uses {passphrase}."
        ),
    ),
    (
        re.compile(r"PULUMI_ACCESS_TOKEN|unable to (open bucket|log in)|invalid access token"),
        (
            "PULUMI_BACKEND_URL names where the stacks are kept ({backend}). Check it and its "
            "credentials; for Pulumi Cloud set PULUMI_ACCESS_TOKEN. Without the variable, mops "
            "keeps them in {state}."
        ),
    ),
    (
        re.compile(r"read-only file system|permission denied", re.IGNORECASE),
        "Set MODELOPS_HOME to a folder that you may write; it's {root}.",
    ),
    (
        re.compile(r"dial tcp|connection refused|no such host|request send failed", re.IGNORECASE),
        (
            "The backend of the stacks ({backend}) can't be reached: check PULUMI_BACKEND_URL, the "
            "network and your credentials, then run the command again."
        ),
    ),
)
_URL_USER = re.compile(r"(?<=://)[^/@\s]*@")


def in_words(what: str, error: Exception, home: Home, told: str = "") -> EngineError:
    """Return the error that a person gets to read.

    Args:
        what: what couldn't be done, as in `modelops-infra-dev can't be read`.
        error: what the engine's command ended with.
        home: where things are by default.
        told: what the engine told of it by its events, which is put better.
    """
    said = told or _own_words(error)
    if free_space(home) < TO_ASK:
        # Whoever came to grief over it may have had no space to say so.
        said += f"\nThe disk of {home.root} is full."
    hint = _hint(f"{said}\n{error}", home)
    return EngineError(f"{what}:\n{indent(said, '  ')}", hint=hint)


def _own_words(error: Exception) -> str:
    text = str(error)
    if ended := _ENDED.match(text):
        return f"the engine was ended by signal {ended[1]}"
    return readable(_STDERR.sub("", text, count=1)) or "the engine said nothing"


def _hint(text: str, home: Home) -> str:
    backend = os.environ.get("PULUMI_BACKEND_URL") or home.pulumi_state.as_uri()
    values = {
        "backend": _URL_USER.sub("***@", backend),
        "state": home.pulumi_state,
        "passphrase": home.passphrase_file,
        "root": home.root,
    }
    found = (advice for cause, advice in _CAUSES if cause.search(text))
    return next(found, "Run the command again: it goes on from where this one ended.").format(
        **values
    )
