# ruff: noqa: E501 (a row of the table is a line)
"""Broken files: where each error points, what it says, and what it suggests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.spec import InvalidSpecError, SpecProblem, load_text

BASE = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: sir}
spec:
  provider: {name: local}
  workerGroups:
    cpu:
      min: 2
      max: 4
  algorithms:
    fit:
      type: optuna
      parameters: {n_trials: 300, seed: 1}
      entrypoint:
        bundle: .
        targets: [prevalence]
        space: {beta: {low: 0.5, high: 4}}
"""
FIT = "spec.algorithms.fit"
BETA = f"{FIT}.entrypoint.space.beta"

# old text, new text, line:column, path, found, part of the message, suggestion
BROKEN = [
    ("max: 4", "max: six", "9:12", "spec.workerGroups.cpu.max", "six", "a whole number from 1", ""),
    ("max: 4", "max: 0", "9:12", "spec.workerGroups.cpu.max", "0", "a whole number from 1", ""),
    ("max: 4", "max: 2.5", "9:12", "spec.workerGroups.cpu.max", "2.5", "a whole number from 1", ""),
    ("max: 4", "max: true", "9:12", "spec.workerGroups.cpu.max", "true", "a whole number", ""),
    ("max: 4", 'max: "4"', "9:12", "spec.workerGroups.cpu.max", '"4"', "a whole number from 1", "Write 4 without quotes."),
    ("max: 4", "max:", "9:11", "spec.workerGroups.cpu.max", "nothing", "a whole number from 1", "Write a value after the colon, or remove the key."),
    ("max: 4", "max: 010", "9:12", "spec.workerGroups.cpu.max", "010", "octal to some readers", 'Leave the 0 out, or, if it is text, write "010".'),
    ("max: 4", "mx: 4", "9:7", "spec.workerGroups.cpu.mx", "", "`mx` isn't a key here; allowed: kind, profile, min, max,", "Did you mean `max`?"),
    ("max: 4", "min: 4", "9:7", "spec.workerGroups.cpu.min", "min", "twice; the first is on line 8", ""),
    ("max: 4", "resources: {cpu: 4 cores}", "9:24", "spec.workerGroups.cpu.resources.cpu", "4 cores", 'cores ("4", 0.5)', "Did you mean `4`?"),
    ("max: 4", "resources: {memory: 16GB}", "9:27", "spec.workerGroups.cpu.resources.memory", "16GB", "Ti", "Did you mean `16G`?"),
    ("max: 4", "resources: 16Gi", "9:18", "spec.workerGroups.cpu.resources", "16Gi", "a mapping with the keys cpu and memory", ""),
    ("max: 4", "profile: cpuu", "9:16", "spec.workerGroups.cpu.profile", "cpuu", "this must be cpu or gpu", "Did you mean `cpu`?"),
    ("max: 4", "spot: maybe", "9:13", "spec.workerGroups.cpu.spot", "maybe", "this must be true or false", ""),
    ("    cpu:", "    CPU_1:", "7:5", "spec.workerGroups.CPU_1", "", "a name is a DNS label", ""),
    ("    cpu:", "    no:", "7:5", "spec.workerGroups", "no", "keys must be text", 'If it is meant as a name, write "no".'),
    ("modelops/v1", "modelops/v2", "1:13", "apiVersion", "modelops/v2", "this must be modelops/v1", "Did you mean `modelops/v1`?"),
    ("kind: Runtime\n", "", "1:1", "kind", "", "this is missing; it must be Runtime", ""),
    ("kind: Runtime", "kind: runtime", "2:7", "kind", "runtime", "this must be Runtime", "Did you mean `Runtime`?"),
    ("{name: sir}", "{name: no}", "3:18", "metadata.name", "no", "this must be text", 'YAML reads no as false. Write "no" to have text.'),
    ("{name: sir}", "{name: 12}", "3:18", "metadata.name", "12", "this must be text", 'Write "12" to have text.'),
    ("{name: sir}", "{name: Sir}", "3:18", "metadata.name", "Sir", "lower-case letters, digits and -", ""),
    ("{name: sir}", "{name: sir, env: -}", "3:28", "metadata.env", "-", "DNS label", ""),
    ("{name: sir}", "{name: sir, nmae: x}", "3:23", "metadata.nmae", "", "allowed: name and env", "Did you mean `name`?"),
    ("{name: sir}", "{nam: sir}", "3:12", "metadata.nam", "", "`nam` isn't a key here", "Did you mean `name`?"),
    ("{name: local}", "local", "5:13", "spec.provider", "local", "a mapping with the keys name", "Write {name: local}."),
    ("{name: local}", "{}", "5:3", "spec.provider.name", "", "this is missing; it must be text: local, kubernetes, azure or", ""),
    ("  workerGroups:", "  worker_groups:", "6:3", "spec.worker_groups", "", "isn't a key here", "Did you mean `workerGroups`?"),
    ("  workerGroups:", "  registry: {class: arc}\n  workerGroups:", "6:21", "spec.registry.class", "arc", "this must be acr, distribution, oci-layout or external", "Did you mean `acr`?"),
    ("  workerGroups:", "  registry: {prefix: A/b}\n  workerGroups:", "6:22", "spec.registry.prefix", "A/b", "beginning of a repository's name", ""),
    ("type: optuna", "tpye: optuna", "12:7", f"{FIT}.tpye", "", "`tpye` isn't a key here", "Did you mean `type`?"),
    ("      type: optuna\n", "", "11:5", f"{FIT}.type", "", "this is missing; it must be text: optuna, sobol, lhs,", ""),
    ("seed: 1", "seed: -1", "13:41", f"{FIT}.parameters.seed", "-1", "a whole number from 0 to 18446744073709551615", ""),
    ("seed: 1", "replicats: 5", "13:35", f"{FIT}.parameters.replicats", "", "`replicats` is taken for a misspelt one", "Did you mean `replicates`?"),
    ("seed: 1", "nTrials: 5", "13:35", f"{FIT}.parameters.nTrials", "", "misspelt", "Did you mean `n_trials`?"),
    ("seed: 1", "order: completed", "13:42", f"{FIT}.parameters.order", "completed", "this must be ask or completion", "Did you mean `completion`?"),
    ("type: optuna", "type: optuna\n      limits: {task_timeout: 10 minutes}", "13:30", f"{FIT}.limits.task_timeout", "10 minutes", '"1h30m"', "Did you mean `10m`?"),
    ("type: optuna", "type: optuna\n      limits: {max_failures: -1}", "13:30", f"{FIT}.limits.max_failures", "-1", "0 or more", ""),
    ("[prevalence]", "prevalence", "16:18", f"{FIT}.entrypoint.targets", "prevalence", "this must be a list", ""),
    ("[prevalence]", "[a, 1]", "16:22", f"{FIT}.entrypoint.targets[1]", "1", "this must be text", 'Write "1" to have text.'),
    ("bundle: .", "bundleRef: repo@sha256:abc", "15:20", f"{FIT}.entrypoint.bundleRef", "repo@sha256:abc", "repository@sha256:<64 hex digits>", ""),
    ("{low: 0.5, high: 4}", "[0.5, 4]", "17:23", BETA, "[0.5, 4]", "a parameter is {low: 0, high: 1}, {choices: [a, b]} or {value: 3}", "Write {low: 0.5, high: 4}."),
    ("{low: 0.5, high: 4}", "0.5", "17:23", BETA, "0.5", "a parameter is", "Write {value: …} for a parameter that is the same in every trial."),
    ("{low: 0.5, high: 4}", "{low: 5, high: 4}", "17:23", BETA, "{low: 5, high: 4}", "low is 5.0, above high", ""),
    ("{low: 0.5, high: 4}", "{low: 0, high: 4, log: true}", "17:23", BETA, "{low: 0, high: 4, log: true}", "log needs low > 0", ""),
    ("{low: 0.5, high: 4}", "{low: 0.5, high: 4, type: int}", "17:23", BETA, "{low: 0.5, high: 4, type: int}", "are integers, not 0.5", ""),
    ("{low: 0.5, high: 4}", "{low: 0.5, hihg: 4}", "17:34", f"{BETA}.hihg", "", "allowed: low, high, log and type", "Did you mean `high`?"),
    ("{low: 0.5, high: 4}", "{low: 0.5}", "17:17", f"{BETA}.high", "", "this is missing; it must be a number", ""),
    ("{low: 0.5, high: 4}", "{low: 0.5, high: .inf}", "17:40", f"{BETA}.high", ".inf", "numbers must be finite", ""),
    ("{low: 0.5, high: 4}", '{low: "0.5", high: 4}', "17:29", f"{BETA}.low", '"0.5"', "this must be a number", "Write 0.5 without quotes."),
    ("{low: 0.5, high: 4}", "{choices: []}", "17:33", f"{BETA}.choices", "[]", "a list that isn't empty", ""),
    ("{low: 0.5, high: 4}", "{choices: [a, a]}", "17:23", BETA, "{choices: [a, a]}", "given twice", ""),
    ("{low: 0.5, high: 4}", "{choices: [a, [b]]}", "17:37", f"{BETA}.choices[1]", "[b]", "true, false, a number or text", ""),
    ("{low: 0.5, high: 4}", "{choices: [a], low: 1}", "17:38", f"{BETA}.low", "", "allowed: choices", ""),
    ("[prevalence]", "[a]\n        constraints: beta > 1", "17:22", f"{FIT}.entrypoint.constraints", "beta > 1", "this must be a list", ""),
    ("[prevalence]", "[a]\n        constraints: [beta > 1, beta >]", "17:33", f"{FIT}.entrypoint.constraints[1]", "beta >", "isn't an expression: invalid syntax", ""),
    ("[prevalence]", "[a]\n        constraints: [beta.real > 1]", "17:23", f"{FIT}.entrypoint.constraints[0]", "beta.real > 1", "`beta.real` isn't allowed in a constraint", ""),
    ("type: optuna", "type: !!python/name:os.system x", "12:13", f"{FIT}.type", "!!python/name:os.system x", "the tag !!python/name:os.system isn't used", "Leave out the tag, which is the word that begins with an exclamation mark."),
    ("type: optuna", 'type: "\\ud800"', "12:13", f"{FIT}.type", '"\\ud800"', "half of a surrogate pair", ""),
]  # fmt: skip

SYNTAX = [
    ("", "1:1", "it is empty"),
    ("# nothing but a comment\n", "1:1", "it is empty"),
    ("- a\n", "1:1", "a mapping with the keys apiVersion, kind, metadata and spec"),
    ("a: [1, 2\nb: 3\n", "2:2", "that begins on line 1, expected ',' or ']'"),
    ("a:\n\tb: 3\n", "2:1", "Indent with spaces"),
    ("a: b: c\n", "1:5", "mapping values are not allowed here"),
    ("a: 'x\n", "1:4", "a quoted text begins here and doesn't end"),
    ("a: 1\n---\nb: 2\n", "2:1", "single document"),
    ("a: 1\nb: \x01\n", "2:4", "U+0001"),
    ("a: *x\n", "1:4", "undefined alias 'x'"),
    ("a: &x [*x]\n", "1:4", "a value contains itself"),
    ("a: &x {<<: *x}\n", "1:4", "a value contains itself"),
    ("a: {<<: 5}\n", "1:9", "<< takes a mapping"),
    ("[" * 1000, "1:51", "nested more than 50 deep"),
]


def problems_of(text: str) -> tuple[SpecProblem, ...]:
    with pytest.raises(InvalidSpecError) as caught:
        load_text(text)
    assert caught.value.exit_code == 2
    return caught.value.problems


@pytest.mark.parametrize(("old", "new", "place", "path", "found", "message", "suggestion"), BROKEN)
def test_a_broken_file_has_one_problem_that_says_all(
    old: str, new: str, place: str, path: str, found: str, message: str, suggestion: str
) -> None:
    assert old in BASE
    problems = problems_of(BASE.replace(old, new))
    assert len(problems) == 1, "\n".join(map(str, problems))
    problem = problems[0]
    assert (f"{problem.line}:{problem.column}", problem.path) == (place, path)
    assert problem.found == found
    assert message in problem.message
    assert problem.suggestion == suggestion


@pytest.mark.parametrize(("text", "place", "message"), SYNTAX)
def test_what_is_no_spec_at_all(text: str, place: str, message: str) -> None:
    blocks = [str(problem) for problem in problems_of(text)]
    assert any(f"runtime.yaml:{place}: " in block and message in block for block in blocks), blocks


def test_all_problems_are_shown_at_once_in_the_order_of_the_file() -> None:
    text = (
        BASE.replace("{name: sir}", "{name: no}")
        .replace("max: 4", "max: six")
        .replace("type: optuna", "type: optuna\n      bindings: {workers: gpu}\n      kidn: x")
        .replace("n_trials: 300", "n_trials: 300, n_parallel: 301")
    )
    problems = problems_of(text)
    assert [(problem.line, problem.path) for problem in problems] == [
        (3, "metadata.name"),
        (9, "spec.workerGroups.cpu.max"),
        (13, f"{FIT}.bindings.workers"),
        (14, f"{FIT}.kidn"),
        (15, f"{FIT}.parameters.n_parallel"),
    ]


def test_a_wrong_item_of_a_list_hides_nothing_else() -> None:
    text = BASE.replace("[prevalence]", "[1, 2]").replace("max: 4", "max: 1")
    assert [problem.path for problem in problems_of(text)] == [
        "spec.workerGroups.cpu.max",
        f"{FIT}.entrypoint.targets[0]",
        f"{FIT}.entrypoint.targets[1]",
    ]


def test_a_problem_that_only_follows_from_another_is_not_shown() -> None:
    text = BASE.replace("    cpu:\n      min: 2\n      max: 4\n", "    cpu: 4\n").replace(
        "type: optuna", "type: optuna\n      bindings: {workers: cpu}"
    )
    assert [problem.path for problem in problems_of(text)] == ["spec.workerGroups.cpu"]


def test_a_constraint_on_a_parameter_that_is_wrong_is_not_a_second_problem() -> None:
    text = BASE.replace("{low: 0.5, high: 4}", "{low: 5, high: 4}").replace(
        "[prevalence]", "[a]\n        constraints: [beta > 1]"
    )
    assert [problem.path for problem in problems_of(text)] == [BETA]


def test_the_text_of_the_error_is_the_list() -> None:
    text = BASE.replace("max: 4", "mx: 4").replace("seed: 1", "seed: x")
    with pytest.raises(InvalidSpecError) as caught:
        load_text(text, file="conf/my.yaml")
    assert str(caught.value).splitlines() == [
        "conf/my.yaml:9:7: spec.workerGroups.cpu.mx",
        (
            "  `mx` isn't a key here; allowed: kind, profile, min, max, processes, threads, spot, "
            "resources, image, gpu and price"
        ),
        "  Did you mean `max`?",
        "conf/my.yaml:13:41: spec.algorithms.fit.parameters.seed",
        "  found x: this must be a whole number from 0 to 18446744073709551615",
    ]


def test_aliases_that_multiply_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)
    ]
    assert "aliases make it more than 20,000 values" in problems_of("\n".join(levels))[0].message


def test_merges_that_multiply_are_refused() -> None:
    levels = ["a0: &a0 {k: 1}"]
    levels += [
        f"a{level}: &a{level} {{<<: [*a{level - 1}, *a{level - 1}]}}" for level in range(1, 40)
    ]
    assert "aliases make it more than 20,000 values" in problems_of("\n".join(levels))[0].message


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "six", "no", ".nan", "*x", "&x y", "!!int q", "<<", "08", "1e3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "min", "low", "choices", "x", "<<"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def flow(value: object) -> str:
    """Write a value as YAML that need not be valid."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return {None: "null", True: "true", False: "no"}.get(value, str(value))  # type: ignore[call-overload,no-any-return]


@given(st.data(), st.lists(PLAIN, min_size=1, max_size=3))
def test_any_value_anywhere_is_taken_or_refused_with_its_place(
    data: st.DataObject, values: list[object]
) -> None:
    lines = BASE.splitlines()
    for value in values:
        index = data.draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[index].partition(":")
        lines[index] = f"{key}{colon} {flow(value)}"
    caught = None
    try:
        load_text("\n".join(lines))
    except InvalidSpecError as error:
        caught = error
    assert caught is None or caught.problems
    for problem in caught.problems if caught else ():
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1
        assert problem.message
        assert str(problem).encode()


@given(st.text())
def test_any_text_is_refused_without_a_crash(text: str) -> None:
    with pytest.raises(InvalidSpecError):
        load_text(text)
