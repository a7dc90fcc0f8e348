"""What a YAML syntax error means, and what to do about it."""

import yaml

from modelops.spec.problems import SpecProblem

# Part of what PyYAML says → what to do.
_ADVICE: tuple[tuple[str, str], ...] = (
    ("character '\\t'", "Indent with spaces: YAML allows no tabs there."),
    ("that cannot start any token", "Put text that begins with it in quotes."),
    (
        "mapping values are not allowed here",
        "Check the indentation, and put text that holds `: ` in quotes.",
    ),
    ("could not find expected ':'", "A key is followed by a colon and a blank, as in `name: sir`."),
    ("expected ',' or", "Close the bracket, or put text that holds { } [ ] or , in quotes."),
    (
        "expected <block end>",
        "Keys of one mapping begin in the same column: check the indentation.",
    ),
    ("expected a single document", "Keep one document: take out `---` and what belongs to it."),
    (
        "undefined alias",
        "An alias (*x) needs its anchor (&x) above it; put text that begins with * in quotes.",
    ),
    ("duplicate anchor", "Give each anchor a name of its own."),
    ("while scanning a directive", "Put text that begins with % in quotes."),
    ("unknown escape character", "Double the backslash, or use single quotes."),
    ("nested more than", "A spec is nested about ten deep. Is this the right file?"),
    ("keys and values", "A spec is a few hundred lines. Is this the right file?"),
)


def syntax_problem(error: yaml.MarkedYAMLError, file: str) -> SpecProblem:
    """Return the problem that PyYAML found, at the place where a person would mend it."""
    mark, context = error.problem_mark or error.context_mark, error.context
    opened = error.context_mark
    if opened and "end of stream" in (error.problem or "") and "quoted scalar" in (context or ""):
        # What follows an open quote is all text, so that the end of the file says nothing.
        message = "a quoted text begins here and doesn't end"
        advice = "Close the quote; a ' in single quotes is written ''."
        return _problem(file, opened, message, advice)
    if context and opened and mark and opened.line != mark.line:
        context = f"{context} that begins on line {opened.line + 1}"
    message = ", ".join(part for part in (context, error.problem) if part)
    advice = next((advice for part, advice in _ADVICE if part in message), "")
    return _problem(file, mark, f"not valid YAML: {message}", advice)


def _problem(file: str, mark: yaml.Mark | None, message: str, advice: str) -> SpecProblem:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return SpecProblem(file, line, column, "", "", message, advice)
