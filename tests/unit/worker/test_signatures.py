"""A worker refuses bundles that aren't signed as a run demands, before it takes any of them."""

from pathlib import Path

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.signatures import sign_bundle
from modelops.bundles.signing_keys import SigningKey
from modelops.bundles.template import create_bundle
from modelops.contracts import PublicKey
from modelops.core.errors import BundleError
from modelops.worker.worker_bundles import WorkerBundles

KEY = SigningKey.generate()


class Workplace:
    """A worker's bundles on a store with one bundle."""

    def __init__(self, folder: Path) -> None:
        self.store = LayoutStore(folder / "store")
        self.cache = folder / "cache"
        create_bundle(folder / "sir", "sir")
        self.ref = self.store.push("sir", pack(folder / "sir"))
        registry = RegistryAccess(f"oci-layout://{folder / 'store'}")
        self.bundles = WorkerBundles(self.cache, registry)

    def refuses(self, key: PublicKey) -> str:
        with pytest.raises(BundleError) as caught:
            self.bundles.open(self.ref, key)
        return caught.value.message


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def test_an_unsigned_bundle_is_not_even_unpacked(workplace: Workplace) -> None:
    assert "isn't signed" in workplace.refuses(KEY.public)
    sign_bundle(workplace.store, workplace.ref, SigningKey.generate())
    assert "another key made it" in workplace.refuses(KEY.public)
    assert not workplace.cache.exists()


def test_what_is_in_the_cache_is_refused_too(workplace: Workplace) -> None:
    workplace.bundles.open(workplace.ref).close()
    assert any(workplace.cache.iterdir())
    assert "isn't signed" in workplace.refuses(KEY.public)
    sign_bundle(workplace.store, workplace.ref, KEY)
    with workplace.bundles.open(workplace.ref, KEY.public) as bundle:
        assert bundle.folder.is_dir()
    # Another run that trusts somebody else gains nothing from that.
    assert "another key made it" in workplace.refuses(SigningKey.generate().public)


def test_a_verified_bundle_is_remembered(workplace: Workplace, tmp_path: Path) -> None:
    sign_bundle(workplace.store, workplace.ref, KEY)
    with workplace.bundles.open(workplace.ref, KEY.public) as first:
        (tmp_path / "store").rename(tmp_path / "away")
        with workplace.bundles.open(workplace.ref, KEY.public) as second:
            assert second.folder == first.folder
