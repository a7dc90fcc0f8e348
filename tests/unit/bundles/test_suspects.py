import pytest

from modelops.bundles.suspects import Source, find_suspects

IMPORTS = """\
import collections, functools, glob, itertools, os, pickle, random, time, uuid
import datetime as dt
import numpy as np
from datetime import datetime
from pathlib import Path
from random import gauss
"""


def sources(make_bundle, code):
    """What is found below the imports: code → sources."""
    root = make_bundle({"model.py": f"{IMPORTS}{code}", "targets.py": None})
    found = {}
    for suspect in find_suspects(root):
        assert suspect.path == "model.py"
        found.setdefault(suspect.code, set()).add(suspect.source)
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("random.random()", {Source.CHANCE, Source.STATE}),
        ("gauss(0, 1)", {Source.CHANCE, Source.STATE}),
        ("np.random.normal(size=3)", {Source.CHANCE, Source.STATE}),
        ("np.random.default_rng()", {Source.CHANCE}),
        ("random.Random()", {Source.CHANCE}),
        ("uuid.uuid4()", {Source.CHANCE}),
        ("os.urandom(8)", {Source.CHANCE}),
        ("id(params)", {Source.CHANCE}),
        ("time.time_ns()", {Source.CLOCK}),
        ("datetime.now()", {Source.CLOCK}),
        ("dt.date.today()", {Source.CLOCK}),
        ("hash('a')", {Source.HASH}),
        ("list({1, 2})", {Source.HASH}),
        ("','.join(set(params))", {Source.HASH}),
        ("[x for x in SETS]", {Source.HASH}),
        ("sum(SETS & set(params))", {Source.HASH}),
        ("os.getcwd()", {Source.CHANCE, Source.PLACE}),
        ("Path('.').glob('*')", {Source.PLACE}),
        ("print(__file__)", {Source.PLACE}),
        ("os.environ['OMP_NUM_THREADS']", {Source.THREADS}),
        ("COUNTS['a'] += 1", {Source.STATE}),
        ("SEEN.append(1)", {Source.STATE}),
        ("next(NUMBERS)", {Source.STATE}),
        ("global TOTAL", {Source.STATE}),
        ("open('log', 'a')", {Source.FILES}),
        ("open('log', mode='w')", {Source.FILES}),
        ("Path('x').write_text('')", {Source.FILES}),
        ("pickle.dump(1, params)", {Source.FILES}),
    ],
)
def test_a_place_to_look_at(make_bundle, code, expected):
    shared = "SETS = {'a', 'b'}\nCOUNTS = {}\nSEEN = []\nNUMBERS = itertools.count()\n"
    found = sources(make_bundle, f"{shared}def simulate(params, seed):\n    {code}\n")

    assert found == {code: expected}


@pytest.mark.parametrize(
    "code",
    [
        "rng = np.random.default_rng(seed); rng.random()",
        "random.Random(seed).random()",
        "sorted({1, 2}), len(set(params)), 1 in {1, 2}",
        "seen = []; seen.append(1); seen[0] = 2",
        "open('data.csv')",
        "open('data.csv', 'r')",
        "params.get('a'), SHARED.get('a'), SHARED['a']",
        "params.now(), params.hash()",
    ],
)
def test_what_follows_from_parameters_and_seed_is_no_suspect(make_bundle, code):
    shared = "SHARED = {'a': 1}\n"
    assert sources(make_bundle, f"{shared}def simulate(params, seed):\n    {code}\n") == {}


def test_state_of_a_module(make_bundle):
    code = (
        "RNG = np.random.default_rng(1)\n"
        "@functools.lru_cache(maxsize=1)\ndef cached(): pass\n"
        "def simulate(params, seed, seen=[]): pass\n"
    )
    assert sources(make_bundle, code) == {
        "RNG = np.random.default_rng(1)": {Source.STATE},
        "@functools.lru_cache(maxsize=1)": {Source.STATE},
        "def simulate(params, seed, seen=[]): pass": {Source.STATE},
    }


def test_files_lines_and_what_is_not_python(make_bundle):
    root = make_bundle(
        {
            "model.py": "def simulate(params, seed):\r\n    return hash('a')\r\n",
            "lib/more.py": "import time\n\n\nSTARTED = time.time()\n",
            "template.py": "{{ not }} python\n",
            "notes.txt": "hash('a')\n",
        }
    )
    found = [(item.path, item.line, item.code) for item in find_suspects(root)]

    assert ("lib/more.py", 4, "STARTED = time.time()") in found
    assert ("model.py", 2, "return hash('a')") in found
    assert {path for path, _, _ in found} == {"lib/more.py", "model.py"}
