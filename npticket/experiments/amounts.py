"""Times, densities and counts as texts for people."""


def duration(seconds: float) -> str:
    """Return a time as people say it: "45 s", "5 min", "2.0 hours", "12 days"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def percent(density: float) -> str:
    """Return a density in [0, 1] as the paper writes it: "100.0 %", "21.1 %", "0.26 %"."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"


def counted(count: int, what: str, many: str = "") -> str:
    """Return a number of things: "1 run", "12 runs"; `many` is the plural, by default `what` and an s."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"
