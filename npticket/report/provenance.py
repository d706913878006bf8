"""How results were made, in words: by which commands, how many runs, on which machines."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from npticket.experiments.amounts import counted, duration
from npticket.experiments.outcome import Outcome
from npticket.experiments.tables import Row
from npticket.report import verdicts


def made(outcomes: Mapping[str, Outcome], commands: Sequence[str]) -> str:
    """Return, as Markdown, how results were made: commands, numbers of runs and steps, machines."""
    alike: dict[str, dict[str, Outcome]] = {}
    for folder, outcome in outcomes.items():
        about = verdicts.escaped(f"{outcome.title}; {outcome.note}; seed {outcome.recipe.seed}")
        alike.setdefault(about, {})[folder] = outcome
    lines = ["\n".join(f"    {command}" for command in commands)]
    for about, those in alike.items():
        rows = [row for outcome in those.values() for row in outcome.results]
        alone = {name: name for name in ("results.csv", "recipe.json", "manifest.json")}
        files = alone if "" in those else {folder: f"{folder}/results.csv" for folder in those}
        links = ", ".join(f"[{verdicts.escaped(name)}]({verdicts.target(file)})" for name, file in files.items())
        lines.append(f"{about}. {trained(rows)}: {links}.")
    return "\n\n".join([*lines, f"Made on {verdicts.escaped(machines(outcomes.values()))}."])


def trained(rows: Sequence[Row]) -> str:
    """Return how many training runs the rows of results.csv are of, and how long these took together."""
    return f"{counted(len(rows), 'training run')} ({duration(sum(row['seconds'] for row in rows))})"


def machines(outcomes: Collection[Outcome]) -> str:
    """Return a text that names the machines on which results were made, with their numbers of runs and measures."""
    runs, measures = Counter[str](), any(outcome.measured for outcome in outcomes)
    names = ("run or measure", "runs and measures") if measures else ("run", "runs")
    for machine in (machine for outcome in outcomes for machine in outcome.manifest["machines"]):
        runs[_machine(machine)] += machine.get("runs", 0)
    return "; ".join(
        f"{machine} ({counted(count, *names)})" if len(runs) > 1 else machine for machine, count in runs.items()
    )


def _machine(machine: Mapping[str, object]) -> str:
    cpu, jobs, python, numpy, blas = (machine.get(name, "?") for name in ("cpu", "jobs", "python", "numpy", "blas"))
    on_gpu = f"{machine['gpu']} by --backend cupy, CuPy {machine.get('cupy', '?')}; host: " if "gpu" in machine else ""
    engine = ", --engine plain" * (machine.get("engine") == "plain")
    return f"{on_gpu}{cpu}, {jobs} process{'es' * (jobs != 1)}{engine}, Python {python}, NumPy {numpy}, {blas}"
