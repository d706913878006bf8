"""Prints the tables of docs/performance.md and others, in Markdown, from the results in docs/results/speed.

    python benchmarks/tables.py                                all of them
    python benchmarks/tables.py --into docs/performance.md     each written between the marks that name it there,
                                                               <!-- speed: lenet_step: steps --> ... <!-- end -->

A table is named by script, arguments and table ("conv_step --threads 2: steps"); there is one for each processor, with
our fast engine's times and all ratios. "summary" has a column for each processor.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import results

from npticket.report import page

QUARTILES = re.compile(r"_(low|high)$")
OTHERS = re.compile(r"^(?!fast).+_ms$")  # times of others than our fast engine
ALL_TIMES = ("derived_steps",)  # benchmarks whose tables show these, too: there is little else
WIDE = 1.1  # from one quartile to the other
NETS = {"conv_2": "Conv-2", "conv_4": "Conv-4", "conv_6": "Conv-6", "resnet_18": "Resnet-18", "vgg_19": "VGG-19"}
SUMMARY = {  # what: script, its arguments, table, and the row that comes nearest
    "LeNet step, dense, first 600": ("lenet_step", {}, "steps", {"density": 1, "after": 0}),
    "LeNet step, dense, after 2,000": ("lenet_step", {}, "steps", {"density": 1, "after": 2000}),
    "LeNet step, 21 %, after 2,000": ("lenet_step", {}, "steps", {"density": 0.21, "after": 2000}),
    "LeNet step, 8.7 %, after 2,000": ("lenet_step", {}, "steps", {"density": 0.087, "after": 2000}),
    "LeNet step, 3.6 %, after 2,000": ("lenet_step", {}, "steps", {"density": 0.036, "after": 2000}),
    "LeNet step, 1.2 %, after 2,000": ("lenet_step", {}, "steps", {"density": 0.012, "after": 2000}),
    "LeNet pruned to 1.2 %, rounds of 1,000 steps": ("imp_lenet", {}, "total", {}),
    "LeNet pruned to 1.2 %, rounds of 5,000 steps": ("imp_lenet", {"steps": 5000}, "total", {}),
    "evaluating 5,000 images, dense": ("evaluation", {}, "evaluation", {"density": 1}),
    "evaluating 5,000 images, 3.6 %": ("evaluation", {}, "evaluation", {"density": 0.036}),
    "evaluating 5,000 images, 1.2 %": ("evaluation", {}, "evaluation", {"density": 0.012}),
    **{f"{NETS[net]} step": ("conv_step", {}, "steps", {"net": net}) for net in NETS},
    **{f"{NETS[net]} step, 2 threads": ("conv_step", {"threads": 2}, "steps", {"net": net}) for net in NETS},
}
PEERS = {"torch": "PyTorch", "flushed": "flushed", "compiled": "compiled", "jax": "JAX"}

Found = Mapping[str, Any]  # what results.read returned


def tables(processors: Mapping[str, Found]) -> dict[str, str]:
    """Return every table, in Markdown, by its name."""
    parts: dict[str, list[str]] = {}
    for processor, found in processors.items():
        for run, entry in found.items():
            for name in entry["tables"]:
                parts.setdefault(f"{run}: {name}", []).append(one(processor, entry, name))
    return {"summary": summary(processors)} | {title: "\n\n".join(several) for title, several in parts.items()}


def one(processor: str, run: Found, name: str) -> str:
    """The table of one processor, with the versions that it depends on."""
    rows, machine = run["tables"][name], run["machine"]
    left_out = [QUARTILES] if run["benchmark"] in ALL_TIMES else [QUARTILES, OTHERS]
    columns = {
        column: form for column, form in run["columns"][name].items() if not any(p.search(column) for p in left_out)
    }
    cells = [[_cell(row, column, form) for column, form in columns.items()] for row in rows]
    about = f"{processor}: {machine['cpu']}, NumPy {machine['numpy']}, {machine['blas']}"
    if "gpu" in machine:
        major, minor = divmod(int(machine["cuda"]) // 10, 100)
        about = f"{machine['gpu']}, CuPy {machine['cupy']}, CUDA {major}.{minor}"
        about += f", TF32 {'on' if machine['tf32'] else 'off'}"
    about += f", PyTorch {machine['torch']}, JAX {machine['jax']}; {run['date'][:10]}, commit {run['commit']}"
    if "limits" in machine:
        about += f"; with {', '.join(machine['limits'])}"
    return f"{about}\n\n{page.markdown_table([column.replace('_', ' ') for column in columns], cells)}"


def _cell(row: Found, column: str, form: str) -> str:
    """A number; of a ratio its quartiles, too, where they lie far apart."""
    if column not in row:
        return "-"
    low, high = (row.get(f"{column}_{end}", 1) for end in ("low", "high"))
    return format(row[column], form) + (f" ({low:{form}} to {high:{form}})" if high > WIDE * low else "")


def summary(processors: Mapping[str, Found]) -> str:
    """The main ratios, a column for each processor."""
    columns = {name: [_ratios(found, *where) for where in SUMMARY.values()] for name, found in processors.items()}
    columns = {name: column for name, column in columns.items() if set(column) != {"-"}}  # a GPU's file has none
    rows = [row for row in zip(SUMMARY, *columns.values(), strict=True) if set(row[1:]) != {"-"}]
    return page.markdown_table([" / ".join(PEERS.values()), *columns], rows)


def _ratios(found: Found, benchmark: str, arguments: Found, table: str, wanted: Mapping[str, Any]) -> str:
    rows = [row for run in results.runs(found, benchmark, **arguments) for row in run["tables"][table]]
    rows = [row for row in rows if all(row[name] == value for name, value in wanted.items() if name != "density")]
    if not rows:
        return "-"
    row = min(rows, key=lambda r: abs(r["density"] - wanted["density"]) if "density" in wanted else 0)
    ratios = [[row[one] for one in (f"{peer}/fast", f"{peer}/ours") if one in row] for peer in PEERS]
    ratios[0] += [row["nchw/fast"]] if "nchw/fast" in row else []  # PyTorch in the layout that is faster there
    return " / ".join(f"{min(ratio):.2f}" if ratio else "-" for ratio in ratios)


def filled(text: str, made: Mapping[str, str]) -> str:
    """The page with the tables between their marks as they are now."""
    try:
        return page.filled(text, {f"speed: {name}": table for name, table in made.items()})
    except ValueError as error:
        raise SystemExit(str(error)) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "files", nargs="*", type=Path, help="one for each processor; by default all in docs/results/speed"
    )
    parser.add_argument("--into", type=Path, metavar="PAGE", help="write them into this page instead of printing them")
    args = parser.parse_args()
    made = tables(results.by_processor(args.files))
    if args.into:
        args.into.write_text(filled(args.into.read_text("utf-8"), made), "utf-8", newline="\n")
    else:
        print("\n\n".join(f"## {name}\n\n{table}" for name, table in made.items()))


if __name__ == "__main__":
    main()
