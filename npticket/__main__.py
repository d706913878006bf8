"""`python -m npticket` runs the command `npticket`; Ctrl-C ends it quietly even while its modules are imported."""

import sys

FAILED, STOPPED = 2, 130  # the command's exit status after an error; the shell's for a program that Ctrl-C ended


def main() -> int:
    """Run the command; return the exit status."""
    try:
        from npticket.cli import main
    except KeyboardInterrupt:
        return STOPPED
    except ImportError as error:  # NumPy is missing, or a paper's module cannot be imported
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return main()


if __name__ == "__main__":
    sys.exit(main())
