"""A kubeconfig that can't be used is told so before anybody is asked."""

from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.kubernetes.kubeconfig import check_kubeconfig, server_of

TWO = "current-context: one\ncontexts: [{name: one}, {name: two}]\n"


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    path.write_text(TWO)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return path


def test_the_one_that_the_spec_names_goes_before_the_environments(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    check_kubeconfig("~/config", "two")
    with pytest.raises(ProviderError, match="no kubeconfig /nowhere"):
        check_kubeconfig(None, None)


def test_it_is_looked_for_where_kubectl_looks(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProviderError, match="There is no kubeconfig"):
        check_kubeconfig(None, None)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{kubeconfig}")
    check_kubeconfig(None, "two")
    monkeypatch.delenv("KUBECONFIG")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(TWO)
    check_kubeconfig(None, None)


def test_a_context_that_it_lacks_is_named_with_what_there_is(kubeconfig: Path) -> None:
    with pytest.raises(ProviderError, match="no context 'tow'") as caught:
        check_kubeconfig(str(kubeconfig), "tow")
    assert "two" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contexts: [{name: one}]", "has no current context"),
        ("[", "isn't YAML"),
        ("token", "isn't a kubeconfig"),
    ],
)
def test_what_isnt_a_kubeconfig_is_told(kubeconfig: Path, text: str, words: str) -> None:
    kubeconfig.write_text(text)
    with pytest.raises(ProviderError, match=words) as caught:
        check_kubeconfig(str(kubeconfig), None)
    assert caught.value.hint


def test_the_server_is_that_of_the_context(kubeconfig: Path) -> None:
    kubeconfig.write_text(
        "current-context: one\n"
        "contexts: [{name: one, context: {cluster: a}}, {name: two, context: {cluster: b}}]\n"
        "clusters: [{name: a, cluster: {server: 'https://a'}}, {name: b, cluster: {}}]\n"
    )
    assert server_of(str(kubeconfig), None) == "https://a"
    assert server_of(str(kubeconfig), "two") == ""
    assert server_of(str(kubeconfig), "three") == ""
