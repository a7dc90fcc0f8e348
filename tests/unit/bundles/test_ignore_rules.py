"""`.mopsignore` says what a `.gitignore` of the same text would (gitignore(5))."""

import pytest

from modelops.bundles.tree import list_files

FILES = (
    "a.log",
    "b.txt",
    "#odd",
    "!odd",
    "end ",
    "logs/a.log",
    "logs/keep.log",
    "deep/logs/x.txt",
    "deep/er/a.log",
    "out/one/two/three.csv",
    "out/keep.csv",
)


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        ("", set()),
        ("\n   \n# *.log\n", set()),
        ("*.log", {"a.log", "logs/a.log", "logs/keep.log", "deep/er/a.log"}),
        # A pattern with a slash at its beginning or middle is anchored.
        ("/a.log", {"a.log"}),
        ("logs/a.log", {"logs/a.log"}),
        ("er/a.log", set()),
        ("/*.txt", {"b.txt"}),
        # A slash at the end is for directories alone, at any depth.
        ("logs/", {"logs/a.log", "logs/keep.log", "deep/logs/x.txt"}),
        ("/logs/", {"logs/a.log", "logs/keep.log"}),
        ("a.log/", set()),
        ("logs", {"logs/a.log", "logs/keep.log", "deep/logs/x.txt"}),
        # Two stars go over any number of directories.
        ("**/a.log", {"a.log", "logs/a.log", "deep/er/a.log"}),
        ("out/**", {"out/one/two/three.csv", "out/keep.csv"}),
        ("out/**/three.csv", {"out/one/two/three.csv"}),
        ("out/*/three.csv", set()),
        ("out/*.csv", {"out/keep.csv"}),
        ("deep/**/a.log", {"deep/er/a.log"}),
        # The last rule that fits decides; below a directory that is left out nothing comes back.
        ("*.log\n!keep.log", {"a.log", "logs/a.log", "deep/er/a.log"}),
        ("!keep.log\n*.log", {"a.log", "logs/a.log", "logs/keep.log", "deep/er/a.log"}),
        ("logs/\n!logs/keep.log", {"logs/a.log", "logs/keep.log", "deep/logs/x.txt"}),
        ("/logs/*\n!logs/keep.log", {"logs/a.log"}),
        ("/*\n!/logs/\n!/.mopsignore", set(FILES) - {"logs/a.log", "logs/keep.log"}),
        # Blanks at the end don't count unless they are quoted; # and ! may be quoted too.
        ("b.txt   ", {"b.txt"}),
        ("end\\ ", {"end "}),
        ("end", set()),
        ("\\#odd", {"#odd"}),
        ("\\!odd", {"!odd"}),
        ("b.txt # no comment here", set()),
        # Other wildcards.
        ("?.txt", {"b.txt", "deep/logs/x.txt"}),
        ("[ab].*", {"a.log", "b.txt", "logs/a.log", "deep/er/a.log"}),
        ("[!b].txt", {"deep/logs/x.txt"}),
        ("*.LOG", set()),
        ("b.txt\r\n*.csv\r\n", {"b.txt", "out/one/two/three.csv", "out/keep.csv"}),
    ],
)
def test_rules_are_those_of_git(make_bundle, rules, left_out):
    root = make_bundle(dict.fromkeys(FILES, "") | {".mopsignore": rules})
    found = {file.name for file in list_files(root)}
    assert set(FILES) - found == left_out
