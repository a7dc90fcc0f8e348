"""What must be in no message and no log: passwords, tokens, and the queries of signed URLs."""

import json
import logging
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
_SHORTEST = 4
"""Shorter ones aren't worth hiding: they are parts of ordinary words."""


class Secrets:
    """The secrets that are known so far, to be hidden in what others say."""

    def __init__(self) -> None:
        """Know none."""
        self._spellings: frozenset[str] = frozenset()

    def add(self, *secrets: str) -> None:
        """Hide these from now on, however a URL, a form or JSON spells them."""
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                quoted = (quote(secret, safe=""), quote(secret), quote_plus(secret))
                # Replaced, not changed: another thread may be hiding them.
                self._spellings |= {secret, json.dumps(secret)[1:-1], *quoted}

    def hide(self, text: str) -> str:
        """Return the text with every known secret replaced."""
        # The longest first: one may be a part of another.
        for spelling in sorted(self._spellings, key=len, reverse=True):
            text = text.replace(spelling, HIDDEN)
        return text


class _WithoutQueries(logging.Filter):
    """Cuts the queries off the URLs of log lines: a signed URL is a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.partition("?")[0] + "?…" if isinstance(arg, str) and "?" in arg else arg
                for arg in record.args
            )
        return True


_WITHOUT_QUERIES = _WithoutQueries()


def log_no_queries() -> None:
    """Keep the queries of URLs out of what the HTTP client logs when somebody debugs."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_WITHOUT_QUERIES)
