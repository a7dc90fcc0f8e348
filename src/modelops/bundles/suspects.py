"""Places of a bundle's code where a result may come to depend on more than parameters and seed.

The code is read by its syntax tree. What is found is where to look, no proof: a generator that was
made without a seed may never be drawn from.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeGuard

from modelops.bundles.source import imported_names, parse_source
from modelops.bundles.tree import BundleFile, list_files
from modelops.core.errors import BundleFileError


class Source(Enum):
    """What a result may come to depend on."""

    CHANCE = "chance"
    """Numbers that don't come from the seed; what is a process's own; addresses."""
    CLOCK = "clock"
    HASH = "hash"
    """The order of a set, or a hash."""
    PLACE = "place"
    """Where the bundle is, or the order in which files are listed."""
    THREADS = "threads"
    """The number of threads or processors, or the environment."""
    STATE = "state"
    """What earlier simulations left in the process."""
    FILES = "files"
    """What earlier simulations left on the disk."""


@dataclass(frozen=True)
class Suspect:
    """A place in a bundle's code.

    Attributes:
        path: the file, relative to the bundle, with /.
        line: from 1.
        code: the line's text, without what indents it.
    """

    source: Source
    path: str
    line: int
    code: str


def find_suspects(root: Path) -> list[Suspect]:
    """Return the places to look at in the bundle in `root`, by file and line.

    A file whose name ends in .py and that isn't Python (a template, say) has none.

    Raises:
        BundleFileError: if the bundle's files can't be listed.
    """
    found = []
    for file in list_files(root):
        if file.name.endswith(".py"):
            found += _of_file(file)
    return found


def _of_file(file: BundleFile) -> list[Suspect]:
    try:
        module = _Module(parse_source(file.path))
    except BundleFileError:
        return []
    lines = file.path.read_text(encoding="utf-8", errors="replace").split("\n")
    places = {(node.lineno, source) for node, source in module.suspects()}
    return [
        Suspect(source, file.name, line, lines[line - 1].strip())
        for line, source in sorted(places, key=lambda place: (place[0], place[1].value))
    ]


_Place = ast.expr | ast.stmt

# By the full name of what is called.
_CALLS: tuple[tuple[re.Pattern[str], tuple[Source, ...]], ...] = tuple(
    (re.compile(pattern), sources)
    for pattern, sources in (
        (r"(numpy\.)?random\.(?!seed$)[a-z]\w*", (Source.CHANCE, Source.STATE)),
        (r"secrets\.\w+|uuid\.uuid[14]|os\.(urandom|getrandom|getpid)|id", (Source.CHANCE,)),
        (r"time\.(time|perf_counter|monotonic|process_time)(_ns)?", (Source.CLOCK,)),
        (r"time\.(localtime|strftime|ctime|mktime)", (Source.CLOCK,)),
        (r"datetime\.(datetime|date)\.(now|utcnow|today|fromtimestamp)", (Source.CLOCK,)),
        (r"hash", (Source.HASH,)),
        (r"os\.getcwd|pathlib\.Path\.cwd", (Source.CHANCE, Source.PLACE)),
        (r"os\.(listdir|scandir|walk|path\.(abspath|realpath))|glob\.i?glob", (Source.PLACE,)),
        (r"os\.(cpu_count|getenv)|(multiprocessing|threading|concurrent|joblib)\..*",
         (Source.THREADS,)),
        (r"shelve\.open|(pickle|json|joblib)\.dump|numpy\.save\w*", (Source.FILES,)),
    )
)  # fmt: skip
_METHODS = {
    **dict.fromkeys(("glob", "rglob", "iterdir", "resolve", "absolute"), Source.PLACE),
    **dict.fromkeys(("write_text", "write_bytes", "to_csv", "to_parquet"), Source.FILES),
    "astimezone": Source.CLOCK,
}
_GENERATORS = re.compile(r"numpy\.random\.(default_rng|RandomState|SeedSequence)|random\.Random")
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})
_READERS_OF_ORDER = frozenset({"list", "tuple", "enumerate", "iter", "map", "zip", "sum", "next"})
_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTABLE_CALLS = re.compile(r"list|dict|set|collections\.\w+|itertools\.\w+")
_CHANGES = frozenset(
    {
        *("add", "append", "extend", "insert", "update", "setdefault", "pop", "popitem", "clear"),
        *("appendleft", "popleft", "remove", "discard"),
    }
)
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._origins = imported_names(self._nodes)
        self._inside = {
            id(inner)
            for node in self._nodes
            if isinstance(node, _Function)
            for part in (node.body if isinstance(node.body, list) else [node.body])
            for inner in ast.walk(part)
        }
        # Names that are assigned a set; none while they are looked for.
        self._sets: set[str] = set()
        self._sets = self._assigned(self._is_set)
        self._mutables = self._assigned(self._is_mutable, at_top=True)

    def suspects(self) -> Iterator[tuple[_Place, Source]]:
        for node in self._nodes:
            if isinstance(node, ast.Call):
                yield from self._named_call(node)
                yield from self._other_call(node)
            elif isinstance(node, _Function):
                yield from self._function(node)
            elif isinstance(node, (ast.Name, ast.Attribute)):
                yield from self._variable(node)
            elif isinstance(node, (ast.For, ast.AsyncFor)) and self._is_set(node.iter):
                yield node, Source.HASH
            elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
                if any(self._is_set(part.iter) for part in node.generators):
                    yield node, Source.HASH
            elif isinstance(node, ast.Global) or self._is_stored(node):
                yield node, Source.STATE

    def _named_call(self, node: ast.Call) -> Iterator[tuple[_Place, Source]]:
        name = self._name(node.func)
        if name is None:
            return
        if _GENERATORS.fullmatch(name):
            if not node.args and not node.keywords:
                yield node, Source.CHANCE
            if id(node) not in self._inside:
                yield node, Source.STATE
            return
        for pattern, sources in _CALLS:
            if pattern.fullmatch(name):
                for source in sources:
                    yield node, source
        if name == "open" and _is_to_write(node):
            yield node, Source.FILES

    def _other_call(self, node: ast.Call) -> Iterator[tuple[_Place, Source]]:
        method = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = self._name(node.func)
        if method in _METHODS:
            yield node, _METHODS[method]
        if isinstance(node.func, ast.Attribute) and method in _CHANGES:
            if self._is_shared(node.func.value):
                yield node, Source.STATE
        elif any(map(self._is_set, node.args)) and (method or name in _READERS_OF_ORDER):
            yield node, Source.HASH
        if name == "next" and any(map(self._is_shared, node.args)):
            yield node, Source.STATE

    def _variable(self, node: ast.Name | ast.Attribute) -> Iterator[tuple[_Place, Source]]:
        name = self._name(node)
        if name == "__file__":
            yield node, Source.PLACE
        elif name == "os.environ":
            yield node, Source.THREADS

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    ) -> Iterator[tuple[_Place, Source]]:
        defaults = [*node.args.defaults, *(item for item in node.args.kw_defaults if item)]
        for default in defaults:
            if self._is_mutable(default):
                yield default, Source.STATE
        for decorator in [] if isinstance(node, ast.Lambda) else node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._name(called) in _CACHES:
                yield decorator, Source.STATE

    def _name(self, node: ast.expr) -> str | None:
        """Return the full name of what is imported or built in; None of anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or (parts and node.id not in self._origins):
            return None
        return ".".join([self._origins.get(node.id, node.id), *parts])

    def _assigned(self, is_wanted: Callable[[ast.expr], bool], *, at_top: bool = False) -> set[str]:
        """Return the names that are assigned such a value somewhere, or outside functions."""
        return {
            target.id
            for node in self._nodes
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
            if is_wanted(node.value) and not (at_top and id(node) in self._inside)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._sets
        if isinstance(node, ast.BinOp):
            return self._is_set(node.left) and self._is_set(node.right)
        is_made = isinstance(node, ast.Call) and self._name(node.func) in ("set", "frozenset")
        return is_made or isinstance(node, (ast.Set, ast.SetComp))

    def _is_mutable(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return _MUTABLE_CALLS.fullmatch(self._name(node.func) or "") is not None
        return isinstance(node, _MUTABLE)

    def _is_stored(self, node: ast.AST) -> TypeGuard[_Place]:
        """Return whether an item of what a module shares is set or deleted."""
        if not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load):
            return False
        return self._is_shared(node.value)

    def _is_shared(self, node: ast.expr) -> bool:
        """Return whether it's a module's own list, dict or the like, used in a function."""
        return isinstance(node, ast.Name) and node.id in self._mutables and id(node) in self._inside


def _is_to_write(call: ast.Call) -> bool:
    """Return whether a call of `open` has a mode that makes or changes a file."""
    modes = [*call.args[1:2], *(item.value for item in call.keywords if item.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant) and str(mode.value).startswith(("w", "a", "x"))
        for mode in modes
    )
