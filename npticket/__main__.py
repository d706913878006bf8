"""`python -m npticket` is the command `npticket`, which may be stopped before all of it is imported."""

import sys

FAILED, STOPPED = 2, 130  # as the command says; as the shell does of what Ctrl-C ended


def main() -> int:
    """Run the command; return the exit status."""
    try:
        from npticket.cli import main
    except KeyboardInterrupt:
        return STOPPED
    except ImportError as error:  # NumPy is missing, or a paper of one's own has a mistake
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return main()


if __name__ == "__main__":
    sys.exit(main())
