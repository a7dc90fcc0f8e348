"""The images' names: the file, the profiles, what the environment says instead, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelops.core.errors import SpecError, UsageError
from modelops.images import FILE_NAME, IMAGE_NAMES, ImageConfig, get_image_config, image_variable

DIGEST = f"sha256:{'a' * 64}"
TEXT = """\
default: work
profiles:
  work: {registry: registry.example.com, org: group/team, tag: "1.0"}
  home: {registry: "localhost:5000", org: me, tag: dev}
images:
  scheduler: the-scheduler
  worker: the-worker
  runner: the-runner
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str = TEXT, profile: str | None = None, **environ: str) -> ImageConfig:
    Path(FILE_NAME).write_text(text)
    return get_image_config(profile, environ)


def test_without_a_file_of_ones_own_there_is_ours() -> None:
    config = get_image_config(environ={})
    assert config.profile == "prod"
    assert config.worker_image() == "ghcr.io/modelops/modelops-worker:latest"
    assert config.scheduler_image() == "ghcr.io/modelops/modelops-scheduler:latest"
    assert config.runner_image() == "ghcr.io/modelops/modelops-runner:latest"


def test_our_own_development_profile_is_on_this_machine() -> None:
    assert get_image_config("dev", {}).registry == "localhost:5000"


def test_the_default_profile() -> None:
    config = read()
    assert config.worker_image() == "registry.example.com/group/team/the-worker:1.0"
    assert config.repository("runner") == "registry.example.com/group/team/the-runner"


def test_a_profile_that_is_named_goes_before_the_environments() -> None:
    assert read(MODELOPS_IMAGES_PROFILE="home").profile == "home"
    assert read(profile="work", MODELOPS_IMAGES_PROFILE="home").profile == "work"


def test_a_file_that_is_named_goes_before_the_one_here(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(TEXT.replace("the-worker", "another-worker"))
    config = read(MODELOPS_IMAGES_FILE=str(other))
    assert config.worker_image() == "registry.example.com/group/team/another-worker:1.0"


@pytest.mark.parametrize(
    ("key", "value", "image"),
    [
        ("REGISTRY", "other.example:5000", "other.example:5000/group/team/the-worker:1.0"),
        ("ORG", "others", "registry.example.com/others/the-worker:1.0"),
        ("TAG", "2.0", "registry.example.com/group/team/the-worker:2.0"),
        ("TAG", "", "registry.example.com/group/team/the-worker:1.0"),
    ],
)
def test_variables_go_before_the_profile(key: str, value: str, image: str) -> None:
    assert read(**{f"MODELOPS_IMAGES_{key}": value}).worker_image() == image


@pytest.mark.parametrize("name", IMAGE_NAMES)
@pytest.mark.parametrize(
    "reference",
    [f"host.example/a/b@{DIGEST}", f"localhost:5000/x:y@{DIGEST}", "own:1", "own/image:1"],
)
def test_an_image_can_be_named_in_full(name: str, reference: str) -> None:
    variable = image_variable(name)  # type: ignore[arg-type]
    config = read(**{variable: reference})
    images = {known: config.image(known) for known in IMAGE_NAMES}
    assert images.pop(name) == reference  # type: ignore[call-overload]
    assert all(image.endswith(":1.0") for image in images.values())
    # It's where others are pushed to, whatever one of them is called for now.
    assert config.repository(name) == f"registry.example.com/group/team/the-{name}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reference", ["worker", "host.example/worker", "Worker:1", "w@sha256:abc", "https://x/y:1"]
)
def test_what_is_named_in_full_has_a_tag_or_a_digest(reference: str) -> None:
    with pytest.raises(UsageError, match=r"MODELOPS_WORKER_IMAGE is .*\n.*host/name:tag"):
        read(MODELOPS_WORKER_IMAGE=reference)


def test_variables_are_checked() -> None:
    with pytest.raises(UsageError, match=r"MODELOPS_IMAGES_REGISTRY is 'https://x.y': a registry"):
        read(MODELOPS_IMAGES_REGISTRY="https://x.y")


def test_an_unknown_profile() -> None:
    with pytest.raises(UsageError, match=r"no profile 'hom' in .*\nDid you mean `home`\?"):
        read(profile="hom")


def test_a_named_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"no nowhere.yaml, which MODELOPS_IMAGES_FILE names"):
        read(MODELOPS_IMAGES_FILE="nowhere.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("registry: registry.example.com", "registry: ghcr", ":3:20: profiles.work.registry\n"),
        ("registry: registry.example.com", "registry: a.b/c", "without https:// or a path"),
        ("org: group/team", "org: Group", "lower-case letters"),
        ("default: work", "default: wrok", ":1:10: default\n"),
        ("default: work", "default: wrok", "Did you mean `work`?"),
        ("  worker: the-worker\n", "", ":5:1: images.worker\n  this is missing: the name of"),
        ("  worker:", "  wroker:", "isn't a key here; allowed: scheduler, worker and runner"),
        ("  worker:", "  wroker:", "Did you mean `worker`?"),
        ("org: me", "organisation: me", "isn't a key here; allowed: registry, org and tag"),
        ("images:", "pictures:", "isn't a key here; allowed: default, profiles and images"),
        ('"1.0"', "1.0", "profiles.work.tag\n  found 1.0: this must be text"),
        ("{registry: registry.example.com", "[{registry: x", "not valid YAML"),
        ("  home:", "  home_:", "a name is a DNS label"),
        ("default:", "default", ":2:"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError) as caught:
        read(TEXT.replace(old, new, 1))
    assert str(caught.value).startswith(f"{FILE_NAME}:")
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read(TEXT.replace("org: me", "org: ME").replace("the-runner", "the runner"))
    assert "profiles.home.org" in str(caught.value)
    assert "images.runner" in str(caught.value)


def test_a_list_instead_of_a_mapping() -> None:
    with pytest.raises(SpecError, match=r"with the keys default, profiles and images"):
        read("- a\n")
    with pytest.raises(SpecError, match=r"with the keys scheduler, worker and runner"):
        read("default: a\nprofiles: {}\nimages: 3\n")
    with pytest.raises(SpecError, match=r"profiles\n.*a mapping from names of profiles"):
        read("default: a\nprofiles: []\nimages: 3\n")
    with pytest.raises(SpecError, match="one profile at least"):
        read("default: a\nprofiles: {}\nimages: 3\n")


def test_an_empty_file() -> None:
    with pytest.raises(SpecError, match="is empty"):
        read("\n")


def test_a_file_that_is_not_text() -> None:
    Path(FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="isn't UTF-8"):
        get_image_config(environ={})
