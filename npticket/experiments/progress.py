"""How far training runs are, in words and as a bar: on a terminal, silence elsewhere."""

import sys
from contextlib import AbstractContextManager, nullcontext


def words(seconds: float) -> str:
    """Say a time as people do: 45 s, 5 min, 2.0 hours, 12 days."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def percent(density: float) -> str:
    """Say a density as the paper does: 100 %, 21.1 %, 0.26 %."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"


class Progress(AbstractContextManager["Progress"]):
    """Counts finished training runs on stderr with the time left; needs tqdm, and does without it."""

    def __init__(self, total: int, done: int = 0) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:  # disable=None: quiet unless stderr is a terminal
            self._bar = tqdm(total=total, initial=done, unit="run", disable=None, leave=False, file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, latest: str = "") -> None:
        """One more run is done, with this result."""
        if self._bar is not None:
            self._bar.set_postfix_str(latest, refresh=False)
            self._bar.update()

    def say(self, text: str) -> None:
        """Print to stdout at once, above the bar if there is one."""
        with self._bar.external_write_mode() if self._bar is not None else nullcontext():
            print(text, flush=True)
