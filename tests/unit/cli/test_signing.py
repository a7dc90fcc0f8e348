"""`mops bundle keygen`, `push --sign`, `verify`, and runs that demand a signature."""

import json
import stat
from pathlib import Path

import pytest

from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.provenance import read_provenance
from modelops.cli import session
from modelops.cli.main import main
from modelops.cli.options import Options
from modelops.contracts import BindingOutputs, BundleRef
from modelops.core.errors import SignatureError

Captured = pytest.CaptureFixture[str]
DIGEST = f"sha256:{'0' * 64}"


def call(*arguments: str) -> int:
    try:
        main([*arguments, "--quiet"])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def refused(capsys: Captured, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = call(*arguments)
    return code, capsys.readouterr().err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Path:
    """A fresh project as the working directory, a registry in a folder, and a key pair."""
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"oci-layout://{tmp_path / 'registry'}")
    monkeypatch.setenv("MODELOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MODELOPS_SIGNING_PASSPHRASE_FILE", raising=False)
    assert call("init", str(tmp_path / "project"), "--name", "mine") == 0
    monkeypatch.chdir(tmp_path / "project")
    assert call("bundle", "keygen", "../key") == 0
    capsys.readouterr()
    return tmp_path / "project"


@pytest.fixture
def store(project: Path) -> LayoutStore:
    return LayoutStore(project.parent / "registry")


def push(capsys: Captured, *arguments: str) -> BundleRef:
    capsys.readouterr()
    assert call("bundle", "push", *arguments) == 0
    return BundleRef.parse(capsys.readouterr().out.strip())


def test_a_signed_bundle_is_verified(project: Path, capsys: Captured) -> None:
    assert stat.S_IMODE((project.parent / "key.pem").stat().st_mode) == 0o600
    ref = push(capsys)
    code, error = refused(capsys, "bundle", "verify", str(ref), "--key", "../key.pub")
    assert (code, "isn't signed" in error, "push --sign" in error) == (1, True, True)
    assert push(capsys, "--sign", "../key.pem") == ref
    for reference in (str(ref), "mine:0.1.0"):
        assert call("bundle", "verify", reference, "--key", "../key.pub") == 0
    assert capsys.readouterr().out.split() == [str(ref)] * 2
    in_layout = f"oci-layout:{project.parent}/registry/{ref}"
    assert call("bundle", "verify", in_layout, "--key", "../key.pub") == 0
    assert capsys.readouterr().out.strip() == in_layout
    assert call("bundle", "keygen", "../other") == 0
    code, error = refused(capsys, "bundle", "verify", str(ref), "--key", "../other.pub")
    assert (code, "another key made it" in error) == (1, True)


def test_the_json_names_the_key(project: Path, capsys: Captured) -> None:
    assert call("bundle", "push", "--sign", "../key.pem", "--json") == 0
    pushed = json.loads(capsys.readouterr().out)
    assert call("bundle", "verify", pushed["reference"], "--key", "../key.pub", "--json") == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified == {name: pushed[name] for name in ("reference", "public_key")}
    assert call("bundle", "keygen", "../third", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"].startswith("sha256:")


def test_an_encrypted_key_needs_its_passphrase(
    project: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.parent / "passphrase").write_text("a secret that nobody sees\n")
    assert call("bundle", "keygen", "../safe", "--passphrase-file", "../passphrase") == 0
    code, error = refused(capsys, "bundle", "push", "--sign", "../safe.pem")
    assert (code, "is encrypted" in error) == (2, True)
    (project.parent / "wrong").write_text("another secret")
    given = ("--passphrase-file", "../wrong")
    code, error = refused(capsys, "bundle", "push", "--sign", "../safe.pem", *given)
    assert (code, "passphrase is wrong" in error, "secret" in error) == (2, True, False)
    push(capsys, "--sign", "../safe.pem", "--passphrase-file", "../passphrase")
    monkeypatch.setenv("MODELOPS_SIGNING_PASSPHRASE_FILE", str(project.parent / "passphrase"))
    ref = push(capsys, "--sign", "../safe.pem")
    assert call("bundle", "verify", str(ref), "--key", "../safe.pub") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("push", "--sign", "../none.pem"), 2, "can't be read"),
        (("push", "--sign", "../key.pub"), 2, "isn't a private key"),
        (("verify", "mine:0.1.0", "--key", "../key.pem"), 2, "it holds a PRIVATE KEY"),
        (("verify", "mine:0.1.0", "--key", "../none.pub"), 2, "can't be read"),
        (("verify", "mine:9.9", "--key", "../key.pub"), 4, "There is no mine:9.9"),
        (("verify", f"No Name@{DIGEST}", "--key", "../key.pub"), 2, "isn't a bundle"),
        (("verify", f"mine@{DIGEST}", "--key", "../key.pub"), 1, "isn't signed"),
        (("keygen", "../key"), 2, "is there already"),
        (("keygen", "inside"), 2, "would be pushed with the bundle"),
    ],
)
def test_what_cant_be_done_is_said(
    project: Path, capsys: Captured, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    assert call("bundle", "push") == 0
    found, error = refused(capsys, "bundle", *arguments)
    assert (found, reason in error, "Traceback" in error) == (code, True, False), error


def test_a_private_key_is_not_pushed(project: Path, capsys: Captured, store: LayoutStore) -> None:
    (project.parent / "key.pem").rename(project / "my.pem")
    code, error = refused(capsys, "bundle", "push", "--sign", "my.pem")
    assert (code, "would be pushed with the bundle" in error) == (2, True)
    assert store.list_repositories() == []
    with (project / ".mopsignore").open("a") as file:
        file.write("\n*.pem\n")
    push(capsys, "--sign", "my.pem")


def test_provenance_is_written_once(project: Path, capsys: Captured, store: LayoutStore) -> None:
    ref = push(capsys)
    made = read_provenance(store, ref)
    assert made is not None
    assert made.author
    assert push(capsys) == ref
    assert len(store.list_referrers(ref)) == 1
    assert read_provenance(store, ref) == made


def demand_signature(project: Path) -> None:
    runtime = project / "runtime.yaml"
    text = runtime.read_text()
    assert "bundle: ." in text
    key = "require_signature: {publicKey: ../key.pub}"
    runtime.write_text(text.replace("bundle: .", f"bundle: .\n        {key}"))


def test_unsigned_code_is_not_pushed_where_the_spec_demands_a_signature(
    project: Path, capsys: Captured, store: LayoutStore
) -> None:
    demand_signature(project)
    options = Options(config=project / "runtime.yaml", quiet=True)
    chain = session.open_chain(options)
    bindings = BindingOutputs(
        env={"MODELOPS_BUNDLE_REGISTRY": f"oci-layout://{project.parent / 'registry'}"}
    )
    with pytest.raises(SignatureError, match="isn't signed") as caught:
        session.pushed(chain, options, bindings)
    assert f"mops bundle push --sign KEY.pem {project}" in caught.value.hint
    assert store.list_repositories() == []
    ref = push(capsys, "--sign", "../key.pem")
    pinned = session.pushed(chain, options, bindings)
    assert [algorithm.bundle.ref for algorithm in pinned.plan.algorithms] == [ref]
    (project / "model.py").write_text((project / "model.py").read_text() + "\n# changed\n")
    with pytest.raises(SignatureError, match="isn't signed"):
        session.pushed(chain, options, bindings)


def test_a_reference_is_checked_before_anything_runs(
    project: Path, capsys: Captured, store: LayoutStore
) -> None:
    ref = push(capsys)
    demand_signature(project)
    runtime = project / "runtime.yaml"
    runtime.write_text(runtime.read_text().replace("bundle: .", f"bundleRef: {ref}"))
    options = Options(config=runtime, quiet=True)
    chain = session.open_chain(options)
    registry = f"oci-layout://{project.parent / 'registry'}"
    bindings = BindingOutputs(env={"MODELOPS_BUNDLE_REGISTRY": registry})
    with pytest.raises(SignatureError, match="isn't signed"):
        session.pushed(chain, options, bindings)
    push(capsys, "--sign", "../key.pem")
    session.pushed(chain, options, bindings)


def test_the_plan_shows_who_must_have_signed(project: Path, capsys: Captured) -> None:
    demand_signature(project)
    assert call("plan") == 0
    assert "signed with sha256:" in capsys.readouterr().out
    assert call("plan", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["plan"]["algorithms"][0]["public_key"].startswith("sha256:")
    run = shown["stacks"][-1]["resources"][0]["properties"]["run"]
    assert run["plan"]["public_key"] == (project.parent / "key.pub").read_text()
