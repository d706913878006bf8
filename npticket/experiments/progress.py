"""A progress bar on a terminal, silence elsewhere, and lines of text that do not collide with it."""

import sys
from types import TracebackType


class Progress:
    """Counts finished training runs on stderr with the time left; needs tqdm, and does without it."""

    def __init__(self, total: int, done: int = 0) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:  # disable=None: quiet unless stderr is a terminal
            self._bar = tqdm(total=total, initial=done, unit="run", disable=None, leave=False, file=sys.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, latest: str = "") -> None:
        """One more run is done, with this result."""
        if self._bar is not None:
            self._bar.set_postfix_str(latest, refresh=False)
            self._bar.update()

    def say(self, text: str) -> None:
        """Print to stdout at once, above the bar if there is one."""
        if self._bar is not None:
            self._bar.clear()
        print(text, flush=True)
        if self._bar is not None:
            self._bar.refresh()


def percent(density: float) -> str:
    """A density as the paper prints it: 100 %, 21.1 %, 0.26 %."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"
