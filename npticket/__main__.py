"""`python -m npticket` is the command `npticket`, which may be stopped before all of it is imported."""

import sys

STOPPED = 130  # as the shell says of what Ctrl-C ended


def main() -> int:
    """Run the command; return the exit status."""
    try:
        from npticket.cli import main
    except KeyboardInterrupt:
        return STOPPED
    return main()


if __name__ == "__main__":
    sys.exit(main())
