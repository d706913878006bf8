"""The command `npticket`: run the papers' experiments, look at what came out, and judge their claims by it."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from npticket.cli.commands import draw, list_recipes, run_recipe, show, verify
from npticket.cli.publication import publish
from npticket.datasets import DataError
from npticket.engine import ENGINES
from npticket.experiments.files import StoreError
from npticket.experiments.recipe import RecipeError
from npticket.papers import LIBRARY
from npticket.reading import printable
from npticket.report.paper import Library
from npticket.train import DivergedError

FAILURES = (RecipeError, StoreError, DataError, DivergedError, ImportError, RuntimeError, MemoryError, OSError)
EXIT_CODES = """exit status:
  0    done
  1    verify: at least one claim does not hold
  2    bad arguments, data, recipe or directory, or a run that failed; the message says what to do
  130  stopped by Ctrl-C; finished runs are kept, and the same command goes on from them
"""


def main(argv: Sequence[str] | None = None, library: Library = LIBRARY) -> int:
    """Run one command on the recipes and claims of a library; return the exit status."""
    args, text = parser().parse_args(argv), "\nStopped. Finished runs are kept: the same command goes on from them."
    return status_of(lambda: args.command(args, library), lambda: print(text, file=sys.stderr))


def status_of(work: Callable[[], int], on_interrupt: Callable[[], None]) -> int:
    """Return the exit status of `work`: its own, 130 after Ctrl-C, 2 after a failure, which is said on stderr."""
    try:
        return work()
    except KeyboardInterrupt:
        on_interrupt()
        return 130
    except BrokenPipeError:  # whoever read the output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except FAILURES as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)  # it may quote a file, or be about one's name
        return 2


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    text = ("The experiments of the lottery ticket papers (Frankle & Carbin, ICLR 2019, and what came after) "
            "on your own machine.")  # fmt: skip
    layout = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(prog="npticket", description=text, epilog=EXIT_CODES, formatter_class=layout)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("list", help="what can be run, with its source and its cost here")
    add.add_argument("--measure", action="store_true", help="time what was not timed here before, on its data: minutes")
    add.set_defaults(command=list_recipes)
    text = ("Run an experiment or a sweep. The same command again goes on from the runs that are finished, and so does "
            "one that asks for more trials, rounds or series.")  # fmt: skip
    add = commands.add_parser("run", help="run an experiment, or go on with it", description=text)
    add.set_defaults(command=run_recipe)
    add.add_argument("recipe", metavar="RECIPE", help="a name that `npticket list` shows, or a recipe.json")
    add.add_argument("--out", type=Path, help="directory of the results (runs/RECIPE)")
    add.add_argument("--trials", type=int, help="networks per series")
    add.add_argument("--rounds", type=int, help="trainings per trial; the first is the dense network")
    add.add_argument("--steps", type=int, help="optimizer steps per training; schedules shrink in proportion")
    add.add_argument("--series", help="what to train, by commas: winning_ticket,random_reinit ...")
    add.add_argument("--seed", type=int, help="the same seed gives the same tickets")
    add.add_argument("--jobs", type=int, help="processes on this machine (the number of cores)")
    add.add_argument("--backend", choices=("numpy", "cupy"), default="numpy", help="(%(default)s)")
    add.add_argument("--engine", choices=ENGINES, default="fast", help="what runs the network (%(default)s)")
    add.add_argument("--lock-step", action="store_true", help="train all runs of a round at once, in one process")
    add.add_argument("--data", type=Path, help="folder with the data (default: see README.md)")
    add.add_argument("--scheduler", default="", metavar="ADDRESS", help="a dask.distributed cluster: tcp://host:8786")
    for name, command, text in (
        ("show", show, "print the tables of an experiment"),
        ("figures", draw, "draw its figures, PNG and SVG, into DIR/figures"),
        ("verify", verify, "judge the papers' claims by it; writes DIR/claims.json and claims.md"),
        ("publish", publish, "write what belongs into a repository, figures and a page, into GOAL"),
    ):
        add = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        add.add_argument("folder", type=Path, metavar="DIR", help="of an experiment, or of several side by side")
        add.set_defaults(command=command)
    add.add_argument(
        "goal", type=Path, metavar="GOAL", help="where it is kept; of a page there, the marked parts change"
    )
    return whole
