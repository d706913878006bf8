"""`python -m npticket` is the command `npticket`."""

import sys

from npticket.cli import main

if __name__ == "__main__":
    sys.exit(main())
