"""Where the command meets the system: output streams, signals, and the exit status."""

import codecs
import io
import os
import platform
import re
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import numpy as np

from npticket import __version__
from npticket.datasets import DataError
from npticket.experiments.errors import RecipeError, StoreError
from npticket.files import FULL
from npticket.reading import printable, reason
from npticket.train import DivergedError

FAILED, INTERNAL, STOPPED = 2, 70, 128
EXIT_CODES = """exit status:
  0      done
  1      verify: at least one claim does not hold
  2      bad arguments, data, recipe or directory, or a run that failed; the message says what to do
  70     an internal error; the message names a file to report it with
  128+n  stopped by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129 as the terminal went away; finished runs are kept,
         and the same command goes on from them
"""
FAILURES = (RecipeError, StoreError, DataError, DivergedError, ImportError, RuntimeError, MemoryError, OSError)
OURS = (RecursionError, NotImplementedError)  # RuntimeErrors that no input should cause: mistakes of this package
PLAIN = {"≥": ">=", "≤": "<=", "±": "+-", "×": "x", "§": "sec. "}  # noqa: RUF001 - for terminals without them


class Stopped(KeyboardInterrupt):
    """Raised when another signal than Ctrl-C's asks the process to end; it ends in the same way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def status_of(work: Callable[[], int], on_interrupt: Callable[[], None]) -> int:
    """Call `work` and return the exit status: what it returns, or one of EXIT_CODES with a message on stderr.

    `on_interrupt` is called if a signal stopped it. Call `prepare_streams` before.
    """
    with _signals_heard(), _warnings_in_words():
        try:
            status = work()
            sys.stdout.flush()
            return status
        except KeyboardInterrupt as stop:
            with suppress(OSError):  # the terminal may be gone
                on_interrupt()
            return STOPPED + getattr(stop, "number", signal.SIGINT)
        except BrokenPipeError:  # whoever read the output went away, as `head` does
            return FAILED
        except FAILURES as error:
            if isinstance(error, OURS):
                return _internal(error)
            _say(f"error: {_words(error)}")
            return FAILED
        except Exception as error:
            return _internal(error)
        finally:
            _give_up_output()


def prepare_streams() -> None:
    """Make stdout and stderr safe to write to: to nowhere if they are closed; characters they lack are replaced."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would get the number, and be written to
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    codecs.register_error("npticket", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="npticket")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Return what is written in place of characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


@contextmanager
def _signals_heard() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the work as Ctrl-C does, unless they are handled already, as by nohup."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    heard = []
    if threading.current_thread() is threading.main_thread():
        known = (getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
        heard = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Print warnings as sentences, without the line of code that they come from."""
    before, warnings.formatwarning = warnings.formatwarning, lambda message, *_, **__: f"warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or "the output"
        return f"there is no room for {where} ({error.strerror}). What is finished is kept: make room, and try again"
    if isinstance(error, MemoryError) and not str(error):
        return "the memory does not suffice"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "matplotlib":
        return "figures need matplotlib: python -m pip install matplotlib"
    return printable(reason(error))  # it may quote a file, or be about the name of one


def _internal(error: Exception) -> int:
    """Print that this is an internal error, with the traceback in a file; return the exit status."""
    versions = f"npticket {__version__}, Python {platform.python_version()}, NumPy {np.__version__}"
    trace = f"{versions}, {platform.platform()}\n{sys.argv}\n\n{''.join(traceback.format_exception(error))}"
    try:
        number, path = tempfile.mkstemp(".txt", "npticket-error-")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
        kept = f"with {path}, where the details are"
    except OSError:
        last = traceback.extract_tb(error.__traceback__)[-1]
        kept = f"(from {last.filename}, line {last.lineno}; its details could not be written to a file)"
    papers = re.findall(r'File "([^"]*[/\\]papers[/\\][^"]+)", line (\d+)', trace)
    of_paper = " (from {}, line {}: if that paper is yours, mend it there)".format(*papers[-1]) if papers else ""
    said = " ".join(map(str.strip, traceback.format_exception_only(error)))  # with notes, such as which run it was
    _say(f"internal error{of_paper}, please report it {kept}: {said}")
    return INTERNAL


def _say(text: str) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def _give_up_output() -> None:
    """Redirect streams that cannot be written to, as Python would print another error when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
