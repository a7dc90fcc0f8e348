"""What was probably meant by a word that isn't known."""

import difflib
from collections.abc import Iterable


def near_miss(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the one of `known` that `word` nearly is, or an empty text.

    Another spelling of the same word (`nTrials`, `n-trials`) is near. `cutoff` is how alike they
    are at least, from 0 to 1: Ratcliff and Obershelp's measure, as in `difflib`.
    """
    if not isinstance(word, str):
        return ""
    folded = {_fold(item): item for item in known}
    near = difflib.get_close_matches(_fold(word), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else ""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "Did you mean `…`?" if `word` is nearly one of `known`, else an empty text."""
    near = near_miss(word, known)
    return f"Did you mean `{near}`?" if near else ""


def did_you_mean_or_all(word: object, known: Iterable[str]) -> str:
    """Return "Did you mean `…`?", or all that there are, sorted, where nothing is near."""
    names = sorted(known)
    everything = f"There are: {', '.join(names)}" if names else ""
    return did_you_mean(word, names) or everything


def _fold(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
