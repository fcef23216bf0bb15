"""`provision match`: CUDA and drivers beside each other, from the catalog; nothing is declared, no inventory needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import RenderableType
from rich.text import Text

from provision.catalog import Catalog, Gpu, HostCompiler, load
from provision.cli.arguments import Json, mistakes_told, read_snapshot
from provision.cli.console import grid, put, standard
from provision.cli.exits import Exit
from provision.model import Snapshot
from provision.stack.compatibility import How
from provision.stack.match import (
    DriverMatch,
    ToolkitMatch,
    branch_doubts,
    driver_on,
    drivers,
    gpu_doubts,
    gpus_on,
    known_driver,
    known_gpus,
    least,
    toolkits,
)

app = typer.Typer(rich_markup_mode=None)

STYLES: dict[How, str] = {"native": "green", "minor": "cyan", "forward": "yellow", "no": "dim"}
LEGEND: dict[How, str] = {
    "native": "the driver is as new as the toolkit, or newer",
    "minor": "by minor-version compatibility; the driver does not compile PTX of a newer toolkit (error 222), so code "
    "must hold machine code for the GPU",
    "forward": "with a cuda-compat package, on data-centre GPUs only",
}
TITLES = {"LTSB": "long-term", "PB": "production", "NFB": "new feature", "unknown": ""}


@app.command()
def match(  # noqa: PLR0913, PLR0917 - one for each option
    driver: Annotated[str | None, typer.Option("--driver", metavar="VERSION", help="a driver, or a branch")] = None,
    cuda: Annotated[
        str | None, typer.Option("--cuda", metavar="VERSION", help="a CUDA release, `X.Y` or whole")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", metavar="FILE", help="the driver and GPUs of a machine, as probed")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="the driver and GPUs of this machine")] = False,
    gpu: Annotated[str | None, typer.Option("--gpu", metavar="NAME", help="the GPU, e.g. GH200")] = None,
    as_json: Json = False,
) -> None:
    """Tell which CUDA toolkits a driver runs, or which drivers a CUDA release runs on.

    native: the driver is as new as the toolkit; minor: by minor-version compatibility, for code that holds machine code
    for the GPU; forward: with a cuda-compat package on data-centre GPUs; no: not at all. Everything comes from the
    catalog; `provision catalog show FACT` shows a fact with its source.
    """
    if sum((driver is not None, cuda is not None, snapshot is not None, local)) != 1:
        typer.echo("name one of: --driver VERSION, --cuda VERSION, --snapshot FILE, --local", err=True)
        raise typer.Exit(Exit.WRONG_INPUT)
    known = load()
    with mistakes_told():
        named = () if gpu is None else known_gpus(known, gpu)
        if cuda is not None:
            _show_drivers(known, cuda, named, as_json)
            return
        if driver is not None:
            _show_toolkits(known, driver, named, as_json)
            return
        seen = read_snapshot(snapshot) if snapshot is not None else _this_machine()
        _show_toolkits(known, _driver_of(seen), named or gpus_on(known, seen), as_json)


def toolkits_as_data(known: Catalog, driver: str, gpus: Sequence[Gpu]) -> dict[str, JsonValue]:
    """What `match --driver --json` prints. Raises: NoMatch."""
    return {
        "schema": 1,
        "driver": driver,
        "version": known_driver(known, driver),
        "gpus": [*_names(gpus)],
        "toolkits": [_toolkit_as_data(match) for match in toolkits(known, driver, gpus)],
        "warnings": [*_doubts(known, driver, gpus)],
    }


def drivers_as_data(known: Catalog, cuda: str, gpus: Sequence[Gpu]) -> dict[str, JsonValue]:
    """What `match --cuda --json` prints. Raises: NoMatch."""
    found = drivers(known, cuda, gpus)
    return {
        "schema": 1,
        "cuda": cuda,
        "gpus": [*_names(gpus)],
        "least": least(known, cuda).model_dump(),
        "drivers": [
            {**match.model_dump(mode="json"), "warnings": [*_doubts(known, match.driver, gpus)]} for match in found
        ],
    }


def _show_toolkits(known: Catalog, driver: str, gpus: Sequence[Gpu], as_json: bool) -> None:
    data = toolkits_as_data(known, driver, gpus)
    if as_json:
        typer.echo(json.dumps(data, indent=1))
        return
    put(standard(), _toolkit_table(known, driver, gpus))


def _show_drivers(known: Catalog, cuda: str, gpus: Sequence[Gpu], as_json: bool) -> None:
    data = drivers_as_data(known, cuda, gpus)
    if as_json:
        typer.echo(json.dumps(data, indent=1))
        return
    put(standard(), _driver_table(known, cuda, gpus))


def _toolkit_table(known: Catalog, driver: str, gpus: Sequence[Gpu]) -> Iterator[RenderableType]:
    version, found = known_driver(known, driver), toolkits(known, driver, gpus)
    yield Text(_title(f"Driver {driver}" + (f" ({version})" if version != driver else ""), gpus), style="bold")
    yield from (Text(f"warning: {text}", "yellow") for text in _doubts(known, driver, gpus))
    head = _head("CUDA", "runs", "release", "gcc", "clang", "because")
    yield grid([head, *(_toolkit_row(match) for match in found)], columns=6)
    yield from _legend(found)


def _toolkit_row(match: ToolkitMatch) -> tuple[str | Text, ...]:
    lacking = ["its compiler does not know this GPU"] if match.compiles is False else []
    gcc, clang = _compilers(match.compilers)
    return match.cuda, Text(match.how, STYLES[match.how]), match.release, gcc, clang, _because(match, lacking)


def _driver_table(known: Catalog, cuda: str, gpus: Sequence[Gpu]) -> Iterator[RenderableType]:
    found = drivers(known, cuda, gpus)
    yield Text(_title(f"CUDA {cuda}", gpus), style="bold")
    head = _head("driver", "runs it", "branch", "because")
    yield grid([head, *(_driver_row(known, match, gpus) for match in found)], columns=4)
    yield from _legend(found)


def _driver_row(known: Catalog, match: DriverMatch, gpus: Sequence[Gpu]) -> tuple[str | Text, ...]:
    parts = [TITLES[match.type], "" if match.newest else "not its newest", "end of life" if match.ended else ""]
    branch = ", ".join(part for part in parts if part)
    because = _because(match, list(gpu_doubts(known, match.driver, gpus)))
    return match.driver, Text(match.how, STYLES[match.how]), branch, because


def _because(match: ToolkitMatch | DriverMatch, remarks: Sequence[str]) -> Text:
    # What minor-version compatibility excludes is the same for all; the legend tells it once.
    text = match.text.partition("; ")[0] if match.how == "minor" else match.text
    return Text.assemble("; ".join([text, *remarks]), ("" if match.verified else " (unverified)", "yellow"))


def _legend(found: Sequence[ToolkitMatch | DriverMatch]) -> Iterator[Text]:
    used = {match.how for match in found}
    yield Text()
    yield from (Text(f"{how}: {text}", "dim") for how, text in LEGEND.items() if how in used)


def _doubts(known: Catalog, driver: str, gpus: Sequence[Gpu]) -> list[str]:
    return list(chain(branch_doubts(known, driver), gpu_doubts(known, driver, gpus)))


def _head(*names: str) -> tuple[Text, ...]:
    return tuple(Text(name, "bold dim") for name in names)


def _title(what: str, gpus: Sequence[Gpu]) -> str:
    return ", ".join([what, *_names(gpus)])


def _names(gpus: Sequence[Gpu]) -> list[str]:
    return list(dict.fromkeys(gpu.name for gpu in gpus))


def _toolkit_as_data(match: ToolkitMatch) -> dict[str, JsonValue]:
    data = match.model_dump(mode="json", exclude={"compilers"})
    row = match.compilers
    if row is None:
        return {**data, "host_compilers": None}
    gcc, clang = {"least": row.gcc_least, "most": row.gcc}, {"least": row.clang_least, "most": row.clang}
    return {**data, "host_compilers": {"gcc": gcc, "clang": clang, "fact": f"host_compilers/{row.id}"}}


def _compilers(row: HostCompiler | None) -> tuple[str, str]:
    return (f"{row.gcc_least} - {row.gcc}", f"{row.clang_least} - {row.clang}") if row else ("", "")


def _driver_of(seen: Snapshot) -> str:
    driver = driver_on(seen)
    if driver is None:
        said = f": {seen.gpu.error}" if seen.gpu.error else ""
        typer.echo(f"{seen.node or 'the machine'} shows no NVIDIA driver{said}; name one with --driver", err=True)
        raise typer.Exit(Exit.UNKNOWN)
    return driver


def _this_machine() -> Snapshot:
    from provision.cli.probe import NotRead, read
    from provision.probe import Unreadable, parse

    try:
        return parse(read(["sh", "-s"], "this machine"), "this machine")
    except (NotRead, Unreadable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.UNKNOWN) from None
