"""How a command ends: with a status, and in words where something went wrong."""

import os
import sys
from collections.abc import Callable

from npticket.datasets import DataError
from npticket.experiments.files import StoreError
from npticket.experiments.recipe import RecipeError
from npticket.train import DivergedError

FAILURES = (RecipeError, StoreError, DataError, DivergedError, ImportError, RuntimeError, MemoryError, OSError)


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
        print(f"error: {error}", file=sys.stderr)
        return 2
