"""Amounts as people read them: times, fractions of the weights, counts of things."""


def duration(seconds: float) -> str:
    """Say a time as people do: 45 s, 5 min, 2.0 hours, 12 days."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:,.0f} days"


def percent(density: float) -> str:
    """Say a density as the paper does: 100 %, 21.1 %, 0.26 %."""
    return f"{100 * density:.{1 if density >= 0.01 else 2}f} %"


def counted(count: int, what: str, many: str = "") -> str:
    """Say how many there are: 1 run, 12 runs; `many` is the plural, if that is not `what` and an s."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"
