"""`mops secrets`: passwords, keys and tokens of an environment. No command prints a value."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, print_table, say
from modelops.core.errors import NotThereError, UsageError
from modelops.core.naming import check_dns_label
from modelops.core.secrets import (
    MAX_SECRET_BYTES,
    SecretEntry,
    SecretFolder,
    SecretStore,
    check_secret_name,
    check_secret_value,
)
from modelops.core.settings import Home

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Passwords, keys and tokens that runs read; no command prints a value.",
)

_STDIN = "-"

_Name = Annotated[str, typer.Argument(help="What it is called.", metavar="NAME")]
_Value = Annotated[
    str | None,
    typer.Argument(
        help="Its value; left out, or -, to be asked for it or to read it from stdin.",
        metavar="VALUE",
        show_default=False,
    ),
]


@app.command("set")
def set_(
    ctx: typer.Context,
    name: _Name,
    value: _Value = None,
    force: Annotated[bool, typer.Option("--force", help="Replace it if it's there.")] = False,
) -> None:
    """Store a new secret; the next run that starts sees it."""
    options: Options = ctx.obj
    places = _open(options)
    if check_secret_name(name) in places.entries() and not force:
        raise UsageError(
            f"There is a secret {name} already in the environment {places.env}.",
            hint=f"To replace its value: mops secrets update {name}",
        )
    _put(options, places, name, value)


@app.command()
def update(ctx: typer.Context, name: _Name, value: _Value = None) -> None:
    """Replace the value of a secret; the next run that starts sees it."""
    options: Options = ctx.obj
    places = _open(options)
    places.require(name)
    _put(options, places, name, value)


@app.command()
def delete(ctx: typer.Context, name: _Name) -> None:
    """Remove a secret."""
    options: Options = ctx.obj
    places = _open(options)
    places.require(name)
    places.delete(name)
    if options.json:
        print_json({"name": name, "env": places.env})
    else:
        say(options, f"{name} is deleted from {places.store.where}.")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the secrets: names, sizes, when they were changed; never values."""
    options: Options = ctx.obj
    places = _open(options)
    entries = places.entries()
    if options.json:
        print_json([_to_json(entry) for entry in entries.values()])
        return
    rows = [(entry.name, _when(entry), f"{entry.size} B") for entry in entries.values()]
    print_table(("name", "changed", "size"), rows)
    for name in places.missing():
        say(options, f"{name} isn't in {places.store.where}; put it there: mops secrets update")


@dataclass(frozen=True)
class _Places:
    """Where an environment's secrets are: where its runs read them, and the copy on this machine.

    On this machine's own provider both are the same folder.
    """

    env: str
    store: SecretStore
    copy: SecretFolder

    def entries(self) -> Mapping[str, SecretEntry]:
        """Return what is in either, by name; what the copy says of a secret goes first."""
        found = {entry.name: entry for entry in self._store_entries()}
        found |= {entry.name: entry for entry in self.copy.entries()}
        return dict(sorted(found.items()))

    def missing(self) -> list[str]:
        """Return the names that are in the copy only, so that no run sees them."""
        return sorted(self.entries().keys() - {entry.name for entry in self._store_entries()})

    def require(self, name: str) -> None:
        """Raise NotThereError if there is no such secret."""
        known = self.entries()
        if check_secret_name(name) not in known:
            there = f"There are: {', '.join(known)}." if known else "There is none."
            raise NotThereError(
                f"There is no secret {name} in the environment {self.env}. {there}",
                hint=f"To store a new one: mops secrets set {name}",
            )

    def put(self, name: str, value: bytes) -> None:
        """Write to both, the copy last, so that it never has what runs don't see."""
        self.store.put(name, value)
        if self.store != self.copy:
            self.copy.put(name, value)

    def delete(self, name: str) -> None:
        """Remove it from both."""
        self.store.delete(name)
        self.copy.delete(name)

    def _store_entries(self) -> tuple[SecretEntry, ...]:
        return self.store.entries()


def _open(options: Options) -> _Places:
    """Return where the secrets are: as the spec says or, without one, on this machine."""
    from modelops.cli.registry_place import noted_provider
    from modelops.providers.base import ProviderPlan
    from modelops.providers.discovery import find_provider

    if options.config == Path("runtime.yaml") and not options.config.exists() and options.env:
        env = check_dns_label(options.env, "environment")
        noted = noted_provider(env)
        if noted is not None and options.provider in (None, noted[0].name):
            provider, plan = noted
        else:
            provider = find_provider(options.provider or "local")
            plan = ProviderPlan(provider.name, env, ())
    else:
        from modelops.cli.session import open_chain

        if not options.config.exists():
            raise UsageError(
                f"There is no {options.config}, so which environment is meant isn't clear.",
                hint="Name it: --env dev, or its spec: --config FILE",
            )
        chain = open_chain(options)
        provider, plan = chain.provider, chain.provider_plan()
    return _Places(plan.env, provider.secrets(plan), SecretFolder(Home.current().secrets(plan.env)))


def _put(options: Options, places: _Places, name: str, value: str | None) -> None:
    places.put(name, check_secret_value(_read(options, name, value)))
    if options.json:
        print_json({"name": name, "env": places.env})
    else:
        say(options, f"{name} is in {places.store.where}; the next run sees it.")


def _read(options: Options, name: str, value: str | None) -> bytes:
    """Return a secret's value: the argument's, what is typed unseen, or what comes from stdin."""
    if value is not None and value != _STDIN:
        say(
            options,
            "Warning: a value on the command line stays in the shell's history; "
            "leave it out to be asked for it.",
        )
        return os.fsencode(value)
    if sys.stdin.isatty():
        typed: str = typer.prompt(
            f"Value of {name}", hide_input=True, err=True, default="", show_default=False
        )
        return typed.encode()
    return _without_newline(sys.stdin.buffer.read(MAX_SECRET_BYTES + 3))


def _without_newline(value: bytes) -> bytes:
    """Return a value without the newline that `echo` puts behind a text; other bytes stay."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return value
    return value.removesuffix(b"\n").removesuffix(b"\r") if value.endswith(b"\n") else value


def _to_json(entry: SecretEntry) -> dict[str, object]:
    changed = None if entry.changed is None else entry.changed.isoformat()
    return {"name": entry.name, "changed": changed, "size": entry.size}


def _when(entry: SecretEntry) -> str:
    return "" if entry.changed is None else f"{entry.changed.astimezone():%Y-%m-%d %H:%M:%S}"
