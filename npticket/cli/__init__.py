"""The command `npticket`: run the papers' experiments, show and draw the results, and judge the claims by them."""

import argparse
import sys
import textwrap
from collections.abc import Sequence

from npticket import __version__
from npticket.cli.arguments import joined, path
from npticket.cli.commands import draw, list_recipes, report, run_recipe, show, verify
from npticket.cli.export import add_export
from npticket.cli.process import EXIT_CODES, prepare_streams, status_of
from npticket.cli.publication import publish
from npticket.engine import ENGINES
from npticket.experiments.series import REWIND_POINT
from npticket.papers import LIBRARY
from npticket.report.paper import Library
from npticket.report.tables import NARROW

ABOUT = (
    "The experiments of the lottery ticket papers (Frankle & Carbin, ICLR 2019, and what came after) on your own "
    "machine."
)
STOPPED = "\nStopped. Finished runs are kept: the same command goes on from them."
RUN = textwrap.fill(
    "Run an experiment, a sweep, or one value of a sweep, as lenet-sgd-0.1 of lenet-sgd. The same command again goes "
    "on from the runs that are finished, and so does one that asks for more trials, rounds or series.", NARROW,
)  # fmt: skip


def main(argv: Sequence[str] | None = None, library: Library = LIBRARY) -> int:
    """Run one command on the recipes and claims of a library; return the exit status."""
    prepare_streams()
    given = joined(sys.argv[1:] if argv is None else argv)
    if not given:
        parser(library).print_help()
        return 0
    args = parser(library).parse_args(given)
    return status_of(lambda: args.command(args, library), lambda: print(STOPPED, file=sys.stderr))


def names(library: Library) -> str:
    """Return the text below the help of `run`, with all names that a recipe and --series can have."""
    parts = library.parts
    kinds = {"series": parts.series, "networks (a recipe's net)": parts.nets, "data": parts.data}
    texts = (f"{kind}: {', '.join(sorted(set(known) - {REWIND_POINT}))}" for kind, known in kinds.items())
    return "\n\n".join(textwrap.fill(text, NARROW, subsequent_indent="  ", break_on_hyphens=False) for text in texts)


def parser(library: Library = LIBRARY) -> argparse.ArgumentParser:
    """Return the parser of the command line, with all commands."""
    layout = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(prog="npticket", description=ABOUT, epilog=EXIT_CODES, formatter_class=layout)
    whole.add_argument("--version", action="version", version=f"npticket {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("list", help="what can be run, with its source and its cost here")
    add.add_argument("--measure", action="store_true", help="time what was not timed here before, on its data: minutes")
    add.set_defaults(command=list_recipes)
    _add_run(commands, library)
    for name, command, text in (
        ("show", show, "print the tables of an experiment"),
        ("figures", draw, "draw its figures, PNG and SVG, into DIR/figures"),
        ("verify", verify, "judge the papers' claims by it; writes DIR/claims.json and claims.md"),
        ("report", report, "write verdicts, tables, figures and the tickets' masks as one page, DIR/report.html"),
        ("publish", publish, "write what belongs into a repository, figures and a page, into GOAL"),
    ):
        add = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add.add_argument("folder", type=path, metavar="DIR", help="of an experiment, or of several side by side")
        add.set_defaults(command=command)
        if command is publish:
            kept = "where it is kept; of a page, the marked parts change"
            add.add_argument("goal", type=path, metavar="GOAL", help=kept)
    add_export(commands)
    return whole


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", library: Library) -> None:
    add = commands.add_parser(
        "run", help="run an experiment, or go on with it", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add.description, add.epilog = RUN, names(library)
    add.set_defaults(command=run_recipe)
    add.add_argument("recipe", metavar="RECIPE", help="as `npticket list` calls it, recipe.json, or a DIR to go on in")
    add.add_argument("--out", type=path, help="directory of the results (runs/RECIPE)")
    add.add_argument("--trials", type=int, help="networks per series")
    add.add_argument("--rounds", type=int, help="trainings per trial; the first is the dense network")
    add.add_argument("--steps", type=int, help="optimizer steps per training; schedules shrink with it")
    add.add_argument("--patience", type=int, metavar="N", help="end a run after N validations without a new minimum")
    add.add_argument("--series", help="what to train, by commas: winning_ticket,random_reinit; all are named below")
    add.add_argument("--seed", type=int, help="the same seed gives the same tickets")
    add.add_argument("--jobs", type=int, help="processes on this machine (the number of cores)")
    add.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", help="(%(default)s)")
    add.add_argument("--engine", choices=ENGINES, default="fast", help="what runs the network (%(default)s)")
    add.add_argument("--lock-step", action="store_true", help="train all runs of a round at once, in one process")
    add.add_argument("--keep-weights", action="store_true", help="keep trained weights, for `npticket export`")
    add.add_argument("--strict", action="store_true", help="refuse a directory whose runs another machine made")
    add.add_argument("--data", type=path, help="folder with the data (default: see README.md)")
    add.add_argument("--scheduler", default="", metavar="ADDRESS", help="a trusted dask cluster: tcp://host:8786")
