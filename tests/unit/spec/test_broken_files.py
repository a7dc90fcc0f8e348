# ruff: noqa: E501 (a row of the table is a line)
"""Broken files as people make them: each is read from disk, refused with exit code 2, and explained."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelops.algorithms.discovery import algorithm_types, check_options
from modelops.cli import main as cli
from modelops.core.errors import ModelOpsError
from modelops.providers.discovery import option_models
from modelops.spec import Installed, InvalidSpecError, compile_spec, load

Edit = Callable[[str], str]
INSTALLED = Installed(option_models(), algorithm_types(), check_options)
FIT = "spec.algorithms.calibration"
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)


def edit(old: str, new: str) -> Edit:
    """Return what replaces a part of the small file, once."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def limits(written: str) -> Edit:
    return edit("type: optuna", f"type: optuna\n      limits: {{{written}}}")


def provider(written: str) -> Edit:
    return edit("{name: local}", f"{{{written}}}")


# what it is: how the small file is broken, line:column, path, words of the message, words of the advice
SYNTAX: dict[str, tuple[Edit, str, str, str, str]] = {
    "a tab": (edit("  algorithms:", "\talgorithms:"), "6:1", "the file", "not valid YAML", "Indent with spaces"),
    "an open double quote": (edit("optuna", '"optuna'), "8:13", "the file", "a quoted text begins here and doesn't end", "Close the quote"),
    "an open single quote": (edit("optuna", "'optuna"), "8:13", "the file", "a quoted text begins here and doesn't end", "''"),
    "an open bracket": (edit("[prevalence]", "[prevalence"), "13:14", "the file", "that begins on line 12", "Close the bracket"),
    "an open brace": (edit("{name: sir}", "{name: sir"), "4:5", "the file", "that begins on line 3", "Close the bracket"),
    "a key too deep": (edit("      type:", "      type: x\n        type:"), "9:13", "the file", "mapping values", "Check the indentation"),
    "a key too shallow": (edit("      type:", "     kind: 1\n      type:"), "9:11", "the file", "mapping values", "Check the indentation"),
    "two documents": (lambda text: f"{text}---\n{text}", "14:1", "the file", "another document", "Keep one document"),
    "a list": (lambda _: "- a\n", "1:1", "the file", "a mapping with the keys apiVersion, kind,", ""),
    "a text": (lambda _: "hello\n", "1:1", "the file", "found hello: this must be a mapping", ""),
    "nothing": (lambda _: "", "1:1", "the file", "it is empty", "mops init"),
    "blanks only": (lambda _: "\n \n# x\n", "1:1", "the file", "it is empty", "mops init"),
    "a NUL": (edit("optuna", "opt\0una"), "8:16", "the file", "U+0000 isn't allowed", "Remove it"),
    "a bell": (edit("optuna", "\a"), "8:13", "the file", "U+0007 isn't allowed", "Remove it"),
    "no blank after a colon": (edit("kind: ", "kind:"), "3:1", "the file", "could not find expected ':'", "a colon and a blank"),
    "no colon": (edit("kind: ", "kind "), "3:1", "the file", "could not find expected ':'", "a colon and a blank"),
    "an @": (edit("optuna", "@optuna"), "8:13", "the file", "cannot start any token", "in quotes"),
    "a colon in a text": (edit("optuna", "a: b"), "8:14", "the file", "mapping values are not allowed", "in quotes"),
    "a variable of a template": (edit("sir", "${NAME}"), "3:19", "the file", "flow mapping", "in quotes"),
    "an unknown alias": (edit("seed: 1", "seed: *x"), "9:57", "the file", "undefined alias 'x'", "its anchor (&x) above it"),
    "an anchor twice": (edit("seed: 1", "a: &x 1, b: &x 2"), "9:63", "the file", "duplicate anchor", "a name of its own"),
    "a value that contains itself": (edit("seed: 1", "a: &a [*a]"), "9:54", f"{FIT}.parameters.a[0]", "contains itself", "Take the alias"),
    "a billion laughs": (lambda _: LAUGHS, "", "", "aliases make it more than 20,000 values", ""),
    "too many values": (lambda _: "a: [" + "1," * 300_000 + "]", "1:39999", "the file", "more than 20,000 keys and values", "the right file"),
    "10,000 brackets": (edit("seed: 1", f"a: {'[' * 10_000}{']' * 10_000}"), "9:99", "the file", "nested more than 50 deep", "the right file"),
    "10,000 levels of list": (lambda _: "- " * 10_000, "1:101", "the file", "nested more than 50 deep", "the right file"),
    "a thousand indented levels": (lambda _: "".join(f"{' ' * n}a:\n" for n in range(1000)), "50:50", "the file", "nested more than 50 deep", "the right file"),
    "an object of Python": (edit("seed: 1", "sampler: !!python/object:os.system {}"), "9:60", f"{FIT}.parameters.sampler", "the tag !!python/object:os.system isn't used", "Leave out the tag"),
    "a tag of one's own": (edit("spec:\n", "spec: !foo\n"), "4:7", "spec", "the tag !foo isn't used", "Leave out the tag"),
    "bytes": (edit("seed: 1", "sampler: !!binary aGk="), "9:60", f"{FIT}.parameters.sampler", "the tag !!binary isn't used", "Leave out the tag"),
    "a key twice": (edit("kind: Runtime", "kind: Runtime\nkind: Runtime"), "3:1", "kind", "twice; the first is on line 2", ""),
    "a key twice, once in quotes": (edit("kind: Runtime", 'kind: Runtime\n"kind": Runtime'), "3:1", "kind", "twice; the first is on line 2", ""),
    "a key twice, deep down": (edit("{low: 0.5,", "{low: 0.5, 'low': 2,"), "13:34", f"{FIT}.entrypoint.space.beta.low", "twice", ""),
    "an algorithm twice": (lambda text: text + text.partition("algorithms:\n")[2].replace("calibration", "'calibration'"), "14:5", FIT, "twice; the first is on line 7", ""),
    "a number as a key": (edit("seed: 1", "1: 1"), "9:51", f"{FIT}.parameters", "keys must be text", 'write "1"'),
    "on as a key": (edit("seed: 1", "on: 1"), "9:51", f"{FIT}.parameters", "keys must be text", 'write "on"'),
    "a list as a key": (edit("seed: 1", "? [a] : 1"), "9:53", f"{FIT}.parameters", "keys must be text", ""),
    "a merge of a number": (edit("seed: 1", "<<: 1"), "9:55", f"{FIT}.parameters", "<< takes a mapping", ""),
}  # fmt: skip
TYPES: dict[str, tuple[Edit, str, str, str, str]] = {
    "a number for text": (edit("optuna", "5"), "8:13", f"{FIT}.type", "found 5: this must be text", 'Write "5" to have text.'),
    "text for a number": (edit("300", "many"), "9:30", f"{FIT}.parameters.n_trials", "found many: this must be a whole number", ""),
    "a quoted number": (edit("300", '"300"'), "9:30", f"{FIT}.parameters.n_trials", "a whole number", "Write 300 without quotes."),
    "a truth value for a number": (edit("300", "true"), "9:30", f"{FIT}.parameters.n_trials", "found true: this must be a whole number", ""),
    "a fraction for a count": (edit("300", "300.0"), "9:30", f"{FIT}.parameters.n_trials", "a whole number", "Write 300."),
    "an exponent for a count": (edit("300", "3e2"), "9:30", f"{FIT}.parameters.n_trials", "a whole number", "Write 300."),
    "a negative count": (edit("300", "-3"), "9:30", f"{FIT}.parameters.n_trials", "from 1 to 2147483647", ""),
    "a count beyond all counts": (edit("300", "9" * 30), "9:30", f"{FIT}.parameters.n_trials", "from 1 to 2147483647", ""),
    "a number without end": (edit("300", "9" * 5000), "9:30", f"{FIT}.parameters.n_trials", "at most 100 digits", ""),
    "an octal of YAML 1.1": (edit("300", "0300"), "9:30", f"{FIT}.parameters.n_trials", "octal to some readers", "Leave the 0 out"),
    "an octal of YAML 1.2": (edit("300", "0o12"), "9:30", f"{FIT}.parameters.n_trials", "found 0o12: this must be a whole number", ""),
    "a sexagesimal of YAML 1.1": (edit("300", "5:00"), "9:30", f"{FIT}.parameters.n_trials", "found 5:00: this must be a whole number", ""),
    "a date for a number": (edit("300", "2024-01-01"), "9:30", f"{FIT}.parameters.n_trials", "found 2024-01-01: this must be a whole number", ""),
    "digits of another script": (edit("300", "\u0663\u0660"), "9:30", f"{FIT}.parameters.n_trials", "a whole number", ""),
    "not a number": (edit("high: 4", "high: .nan"), "13:40", f"{FIT}.entrypoint.space.beta.high", "numbers must be finite", ""),
    "infinity": (edit("high: 4", "high: -.inf"), "13:40", f"{FIT}.entrypoint.space.beta.high", "numbers must be finite", ""),
    "beyond all floats": (edit("high: 4", "high: 1e999"), "13:40", f"{FIT}.entrypoint.space.beta.high", "numbers must be finite", ""),
    "yes for text": (edit("[prevalence]", "[yes]"), "12:19", f"{FIT}.entrypoint.targets[0]", "found yes: this must be text", "YAML reads yes as true"),
    "off for text": (edit("sir", "off"), "3:18", "metadata.name", "found off: this must be text", 'YAML reads off as false. Write "off"'),
    "yes for a number": (edit("seed: 1", "seed: yes"), "9:57", f"{FIT}.parameters.seed", "found yes: this must be a whole number", ""),
    "a list for a mapping": (edit("{name: local}", "[local]"), "5:13", "spec.provider", "found [local]: this must be a mapping", ""),
    "a text for a list": (edit("[prevalence]", "prevalence"), "12:18", f"{FIT}.entrypoint.targets", "this must be a list", ""),
    "a mapping for a text": (edit("optuna", "{name: optuna}"), "8:13", f"{FIT}.type", "this must be text", ""),
    "nothing for a mapping": (edit("{name: local}", ""), "5:12", "spec.provider", "found nothing: this must be a mapping", "Write a value after the colon"),
    "null for a number": (edit("seed: 1", "seed: ~"), "9:57", f"{FIT}.parameters.seed", "found ~: this must be a whole number", "Write a value, or remove the key."),
    "an empty text": (edit("optuna", '" "'), "8:13", f"{FIT}.type", "the text is empty", ""),
    "an unknown key at the top": (edit("kind: Runtime", "kind: Runtime\nmetdata: {}"), "3:1", "metdata", "allowed: apiVersion, kind, metadata and spec", "Did you mean `metadata`?"),
    "an unknown key far from any": (edit("seed: 1}", "seed: 1}\n      zzz: 1"), "10:7", f"{FIT}.zzz", "allowed: type, bindings,", ""),
    "an unknown group": (edit("type: optuna", "type: optuna\n      bindings: {workers: defalt}"), "9:27", f"{FIT}.bindings.workers", "it has default", "Did you mean `default`?"),
    "an unknown provider": (provider("name: locl"), "5:20", "spec.provider.name", "there is no such provider; there are: ", "Did you mean `local`?"),
    "an algorithm that isn't there": (edit("optuna", "optnua"), "8:13", f"{FIT}.type", "no such type of algorithm; there are: ", "Did you mean `optuna`?"),
    "a path as a bucket": (edit("  algorithms:", "  objectStore: {bucket: ../../etc}\n  algorithms:"), "6:25", "spec.objectStore.bucket", "a bucket's name has 3 to 63", ""),
    "a folder that isn't managed": (edit("  algorithms:", "  objectStore: {managed: false}\n  algorithms:"), "6:26", "spec.objectStore.managed", "a folder is always managed", "`bucket` names the folder"),
    "a store without a bucket": (edit("  algorithms:", "  objectStore: {managed: false, class: s3}\n  algorithms:"), "6:3", "spec.objectStore.bucket", "isn't managed needs its bucket", ""),
    "a file with a size": (edit("  algorithms:", "  databases: {a: {engine: sqlite, size: small}}\n  algorithms:"), "6:41", "spec.databases.a.size", "sqlite is a file", "Remove the key."),
    "a container for a file": (edit("  algorithms:", "  databases: {a: {engine: sqlite, containerized: true}}\n  algorithms:"), "6:50", "spec.databases.a.containerized", "sqlite is a file", "Remove the key."),
    "GPUs of a group without": (edit("  algorithms:", "  workerGroups: {a: {profile: cpu, gpu: {count: 1}}}\n  algorithms:"), "6:31", "spec.workerGroups.a.profile", "has the profile gpu", ""),
    "a text that runs away": (edit("modelops/v1", "v" * 5000), "1:13", "apiVersion", "this must be modelops/v1", ""),
    "a name that runs away": (edit("optuna", f"optuna\n      {'k' * 100}: 1"), "9:7", f"{FIT}.{'k' * 30}…{'k' * 30}", "isn't a key here", ""),
    "a reference that runs away": (edit("bundle: .", f"bundleRef: {'r' * 5000}"), "11:20", f"{FIT}.entrypoint.bundleRef", "neither a digest nor a tag", ""),
    "a key that colours the screen": (edit("seed: 1}", 'seed: 1}\n      "t\\e[31m": 1'), "10:7", f"{FIT}.t\\x1b[31m", "isn't a key here", ""),
}  # fmt: skip
UNITS: dict[str, tuple[Edit, str, str, str, str]] = {
    written: (limits(f"task_timeout: {written}"), "9:30", f"{FIT}.limits.task_timeout", "a duration is above 0", advice)
    for written, advice in {
        "10 m": "`10m`", "10 minutes": "`10m`", "2hrs": "`2h`", "5 Sec": "`5s`", "-5m": "", "0": "", "0s": "", "30m1h": "", "1:30": "",
        "5x": "", "true": "", "[1]": "", "\u0661m": "", '"1_000"': "", "'10m '": "`10m`",
    }.items()
} | {
    written: (edit("  algorithms:", f"  workerGroups: {{a: {{resources: {{memory: {written}}}}}}}\n  algorithms:"), "6:42", "spec.workerGroups.a.resources.memory", "memory is a whole number of bytes above 0", advice)
    for written, advice in {
        "16GB": "`16G`", "16gi": "`16Gi`", "16 Gi": "`16Gi`", "16 GiB": "`16Gi`", "512mb": "`512M`", "1.5": "", "-1Gi": "", "1e3Gi": "", "Gi": "", "\u0661Gi": "",
    }.items()
} | {
    written: (edit("  algorithms:", f"  workerGroups: {{a: {{resources: {{cpu: {written}}}}}}}\n  algorithms:"), "6:39", "spec.workerGroups.a.resources.cpu", "cpu is an amount above 0", advice)
    for written, advice in {"4 cores": "`4`", "500 m": "`500m`", "2vcpu": "`2`", "0m": "", "-1": "", "four": ""}.items()
}  # fmt: skip
KEYS_OF_PROVIDERS: dict[str, tuple[Edit, str, str, str, str]] = {
    "a key of local": (provider("name: local, regoin: x"), "5:27", "spec.provider.regoin", "`regoin` isn't a key here; allowed: name", ""),
    "a key of azure on local": (provider("name: local, location: x"), "5:27", "spec.provider.location", "allowed: name", "It is a key of the provider azure."),
    "azure without a location": (provider("name: azure"), "5:3", "spec.provider.location", "this is missing; it must be text: The region", ""),
    "azure with a misspelt location": (provider("name: azure, locaton: eastus2"), "5:27", "spec.provider.locaton", "allowed: name, subscription_id, location,", "Did you mean `location`?"),
    "azure with a place": (provider("name: azure, location: East US 2"), "5:37", "spec.provider.location", "as in eastus2", ""),
    "azure with half a subscription": (provider("name: azure, location: x, subscription_id: 0000-1111"), "5:57", "spec.provider.subscription_id", "found 0000-1111: a subscription's id is 32 hex digits", ""),
    "azure with a bad group": (provider("name: azure, location: x, resource_group: a."), "5:56", "spec.provider.resource_group", "no . at the end", ""),
    "azure with text for a truth": (provider('name: azure, location: x, per_user_registry: "no"'), "5:59", "spec.provider.per_user_registry", "this must be true or false", ""),
    "aks as a text": (provider("name: azure, location: x, aks: mine"), "5:45", "spec.provider.aks", "a mapping with the keys name, managed and external", ""),
    "aks without a name": (provider("name: azure, location: x, aks: {managed: true}"), "5:40", "spec.provider.aks.name", "this is missing", ""),
    "aks with a misspelt key": (provider("name: azure, location: x, aks: {name: a, manged: true}"), "5:55", "spec.provider.aks.manged", "allowed: name, managed and external", "Did you mean `managed`?"),
    "aks made and bound": (provider("name: azure, location: x, aks: {name: a, managed: true, external: true}"), "5:45", "spec.provider.aks", "both managed and external are true", ""),
    "aks neither made nor bound": (provider("name: azure, location: x, aks: {name: a, managed: false, external: false}"), "5:45", "spec.provider.aks", "neither managed nor external", ""),
    "kubernetes with another spelling": (provider("name: kubernetes, storage_class: x"), "5:32", "spec.provider.storage_class", "allowed: name, kubeconfig, context, storageClass,", "Did you mean `storageClass`?"),
    "kubernetes to be made": (provider("name: kubernetes, external: false"), "5:42", "spec.provider.external", "found false: this must be true", ""),
    "kubernetes with a number": (provider("name: kubernetes, context: 5"), "5:41", "spec.provider.context", "this must be text", 'Write "5"'),
    "kubernetes in a bad namespace": (provider("name: kubernetes, namespace: My_Space"), "5:43", "spec.provider.namespace", "a name is a DNS label", ""),
}  # fmt: skip
ALL = {**SYNTAX, **TYPES, **UNITS, **KEYS_OF_PROVIDERS}


@pytest.mark.parametrize("what", ALL)
def test_a_broken_file_is_refused_where_and_with_what_to_do(
    what: str, small: str, tmp_path: Path
) -> None:
    change, place, path, message, advice = ALL[what]
    file = tmp_path / "runtime.yaml"
    file.write_bytes(change(small).encode())
    with pytest.raises(InvalidSpecError) as caught:
        check_compiles(file)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert f"{file}:{place}" in text
    assert len(caught.value.problems) == 1, text
    assert path in text.splitlines()[0]
    assert message in text
    assert advice in text
    assert len(text) < 3000
    assert all(character.isprintable() or character == "\n" for character in text)


def check_compiles(file: Path) -> None:
    compile_spec(load(file, installed=INSTALLED), base=file.parent, check_bundles=False)


@pytest.mark.parametrize("written", ["\r\n", "\r"])
def test_other_ends_of_line_are_fine(small: str, tmp_path: Path, written: str) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_bytes(small.replace("\n", written).encode())
    check_compiles(file)


def test_all_that_is_wrong_comes_at_once_in_the_order_of_the_lines(
    small: str, tmp_path: Path
) -> None:
    file = tmp_path / "runtime.yaml"
    text = small
    for change in (
        edit("kind: Runtime", "kind: Runtime\nkind: Runtime"),
        edit("sir", "off"),
        provider("name: azure, locaton: eastus2, aks: {nme: x}"),
        edit("optuna", "optnua\n      bindings: {workers: gpu}"),
        edit("n_trials: 300", "n_trials: 3e2"),
        edit("seed: 1", "replicats: 1"),
        edit("[prevalence]", "[a, 5]"),
        edit("high: 4", "hihg: 4"),
    ):
        text = change(text)
    file.write_text(text)
    with pytest.raises(InvalidSpecError) as caught:
        load(file, installed=INSTALLED)
    assert [(item.line, item.path) for item in caught.value.problems] == [
        (3, "kind"),
        (4, "metadata.name"),
        (6, "spec.provider.locaton"),
        (6, "spec.provider.aks.nme"),
        (9, f"{FIT}.type"),
        (10, f"{FIT}.bindings.workers"),
        (11, f"{FIT}.parameters.n_trials"),
        (11, f"{FIT}.parameters.replicats"),
        (14, f"{FIT}.entrypoint.targets[1]"),
        (15, f"{FIT}.entrypoint.space.beta.hihg"),
    ]


def test_a_hundred_errors_are_shown_and_the_rest_counted(small: str, tmp_path: Path) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(small + "".join(f"key{number}: 1\n" for number in range(250)))
    with pytest.raises(InvalidSpecError) as caught:
        load(file)
    assert len(caught.value.problems) == 250
    assert str(caught.value).splitlines()[-1] == "… and 150 more"


def write_nothing(_: Path) -> None:
    """Leave the file out."""


def write_as(encoding: str) -> Callable[[Path], None]:
    return lambda file: file.write_bytes("kind: Rüntime\n".encode(encoding)) and None


def write_much(file: Path) -> None:
    file.write_bytes(b"a: " + b"x" * 10_000_000)


FILES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "none": (write_nothing, ["There is no ", "mops init DIR", "-f FILE"]),
    "a directory": (Path.mkdir, ["is a directory", "-f "]),
    "ten megabytes": (write_much, ["larger than 1 MiB", "Is this the right file?"]),
    "Latin-1": (
        write_as("latin-1"),
        [":1:8: the file", "isn't UTF-8 from here", "another encoding"],
    ),
    "UTF-16": (write_as("utf-16"), [":1:1: the file", "isn't UTF-8 from here", "UTF-16"]),
    "a loop of links": (lambda file: file.symlink_to(file), ["can't be read", "symbolic links"]),
}


@pytest.mark.parametrize("what", FILES)
def test_what_isnt_a_file_to_read_exits_with_2(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runtime.yaml"
    write, words = FILES[what]
    write(file)
    with pytest.raises(ModelOpsError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    assert run_mops("spec", "validate", "-f", str(file)) == 2
    shown = capsys.readouterr().err
    assert str(file) in shown
    for word in words:
        assert word in shown


@pytest.mark.integration
def test_a_file_that_one_may_not_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from modelops.core.errors import SpecError\n"
        "from modelops.spec import load\n"
        "if os.geteuid() == 0:\n    os.setegid(65534); os.seteuid(65534)\n"
        "try:\n    load(Path(sys.argv[1]))\n"
        "except SpecError as error:\n    print(error)\n"
    )
    tmp_path.chmod(0o755)
    for folder in [*tmp_path.parents][:2]:
        folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"{file} can't be read: you may not.",
        f"Allow it with `chmod u+r {file}`.",
    ]


@pytest.mark.integration
@pytest.mark.parametrize("what", ["a billion laughs", "10,000 brackets", "too many values"])
def test_a_hostile_file_takes_little_time_and_memory(what: str, small: str, tmp_path: Path) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_bytes(ALL[what][0](small).encode())

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    done = subprocess.run(
        [sys.executable, "-m", "modelops.cli.main", "spec", "validate", "-f", str(file)],
        capture_output=True, text=True, timeout=50, check=False, preexec_fn=bound,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "what", ["an open bracket", "yes for text", "azure without a location", "10 m"]
)
def test_mops_shows_the_error_and_exits_with_2(
    what: str, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, place, path, message, advice = ALL[what]
    file = tmp_path / "runtime.yaml"
    file.write_text(change(small))
    for command in (["spec", "validate"], ["spec", "show"], ["plan"]):
        assert run_mops(*command, "-f", str(file)) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"{file}:{place}: {path}" in shown.err
        assert message in shown.err
        assert advice in shown.err


def run_mops(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    return int(caught.value.code or 0)
