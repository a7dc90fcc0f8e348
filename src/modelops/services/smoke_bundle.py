"""The small bundle that a smoke test makes, and what it has to compute."""

import json
import random
import secrets
from dataclasses import dataclass
from pathlib import Path

from modelops.bundles.manifest import MANIFEST_FILE
from modelops.contracts import Scalar

SMOKE_REPOSITORY = "modelops-smoke-test"
"""Where it's pushed to: always the same repository and tag, so that nobody has to clear up."""

_MODEL = '''\
"""What `mops dev smoke-test` runs."""

WORD = {word!r}


def simulate(params, seed):
    return {{"word": WORD, "product": params["factor"] * seed}}
'''


@dataclass(frozen=True)
class SmokeBundle:
    """A model that returns a word of its own and a product.

    The word is another each time, so that no worker has the bundle already: it has to fetch it.
    """

    word: str
    factor: int
    seed: int

    @classmethod
    def make(cls) -> "SmokeBundle":
        """Return a bundle that nobody has seen before, and what to call it with."""
        chance = random.SystemRandom()
        return cls(secrets.token_hex(8), chance.randrange(2, 1_000), chance.randrange(2**32))

    @property
    def params(self) -> dict[str, Scalar]:
        """The parameters to call the model with."""
        return {"factor": self.factor}

    def write(self, folder: Path) -> None:
        """Write it into a folder that is there."""
        manifest = {"name": SMOKE_REPOSITORY, "version": "1", "entrypoint": "model:simulate"}
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")
        (folder / "model.py").write_text(_MODEL.format(word=self.word), encoding="utf-8")

    def expected(self) -> dict[str, list[Scalar]]:
        """Return the columns of the table that the model has to return."""
        return {"word": [self.word], "product": [self.factor * self.seed]}
