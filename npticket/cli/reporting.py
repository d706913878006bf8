"""`npticket report`: a directory's experiments as one HTML file, with verdicts, tables, figures and tickets."""

from argparse import Namespace

from npticket.cli.commands import outcomes
from npticket.experiments.directory import check_ours
from npticket.files import write
from npticket.report.html.document import document
from npticket.report.paper import Library


def report(args: Namespace, library: Library) -> int:
    """Write DIR/report.html."""
    found, path = outcomes(args.folder, library), args.folder / "report.html"
    check_ours([path])
    write(path, document(found, library).encode())
    print(path)
    return 0
