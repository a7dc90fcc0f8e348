"""A provider that comes with another package says what its keys of `spec.provider` are."""

from pathlib import Path

import pytest

from modelops.algorithms.discovery import algorithm_types
from modelops.providers.base import HasOptions
from modelops.providers.discovery import option_models
from modelops.providers.local.provider import LocalProvider
from modelops.spec import Installed, InvalidSpecError, compile_spec, load_text, to_yaml
from modelops.spec.models import AzureOptions, Provider

MODULE = '''\
from pydantic import Field

from modelops.providers.base import ProviderPlugin
from modelops.spec import ProviderOptions


class Options(ProviderOptions):
    """The Acme cloud."""

    region: str = Field(description="Where it runs.")
    zone_count: int = Field(default=3, alias="zoneCount", description="How many zones.")


def nothing(*_, **__): ...


# What else a provider does doesn't matter here.
parts = {*ProviderPlugin.__annotations__, *vars(ProviderPlugin)}
Bare = type("Bare", (), {part: nothing for part in parts if not part.startswith("_")})
Bare.name = "bare"


class Acme(Bare):
    name = "acme"
    options_model = Options
'''
SPEC = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: x}
spec:
  provider: {PROVIDER}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """What is installed together with a package that brings three providers, one broken."""
    (tmp_path / "acme_cloud.py").write_text(MODULE)
    about = tmp_path / "acme_cloud-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cloud\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[modelops.providers]\nacme = acme_cloud:Acme\nbare = acme_cloud:Bare\n"
        "broken = acme_cloud:NotThere\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return Installed(option_models(), algorithm_types())


def text(provider: str) -> str:
    return SPEC.replace("{PROVIDER}", f"{{{provider}}}")


def test_its_keys_are_checked_at_their_places(installed: Installed) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        load_text(text("name: acme, regoin: x, zoneCount: many"), installed=installed)
    assert str(caught.value).splitlines() == [
        "runtime.yaml:5:26: spec.provider.regoin",
        "  `regoin` isn't a key here; allowed: name, region and zoneCount",
        "  Did you mean `region`?",
        "runtime.yaml:5:48: spec.provider.zoneCount",
        "  found many: this must be a whole number",
    ]


def test_its_defaults_are_shown_and_reach_the_plan(installed: Installed, tmp_path: Path) -> None:
    spec = load_text(text("name: acme, region: x"), installed=installed)
    assert "zoneCount: 3" in to_yaml(spec)
    assert load_text(to_yaml(spec), installed=installed) == spec
    plan = compile_spec(spec, base=tmp_path)
    assert plan.provider.options == {"region": "x", "zoneCount": 3}


@pytest.mark.parametrize("name", ["bare", "broken"])
def test_one_that_says_nothing_gets_what_there_is(installed: Installed, name: str) -> None:
    spec = load_text(text(f"name: {name}, anything: [1]"), installed=installed)
    assert spec.spec.provider.options == {"anything": [1]}


def test_all_that_can_be_named_is_listed(installed: Installed) -> None:
    assert set(installed.providers) == {"acme", "azure", "bare", "broken", "kubernetes", "local"}
    assert len(installed.providers) == 6
    assert installed.providers["azure"] is AzureOptions
    assert installed.providers["bare"] is Provider
    with pytest.raises(InvalidSpecError, match="Did you mean `acme`"):
        load_text(text("name: acne"), installed=installed)


def test_the_local_provider_says_that_it_has_none() -> None:
    assert isinstance(LocalProvider(), HasOptions)
    assert list(LocalProvider.options_model.model_fields) == ["name"]
