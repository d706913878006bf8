"""manifest.json: an experiment's data, the machines that made its runs with their counts, and what engines chose.

If there are several machines, each has the runs that it made: {"winning_ticket": {"0": "0-12, 14"}}, rounds by trial.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from npticket.datasets.dataset import LONGEST
from npticket.experiments.bounds import is_whole
from npticket.experiments.errors import StoreError
from npticket.experiments.json_files import read_json, write_json
from npticket.experiments.machine import NO_BIT
from npticket.experiments.run_files import digest
from npticket.experiments.series import Key
from npticket.reading import Json

FORMAT = 2  # of run files
OF_RUNS = {"runs", "made"}  # of a machine's description: which runs are its
SAID = {"source": "", "caveat": ""}  # of the data's description: not compared, as they do not change the content


def read_manifest(path: Path) -> dict[str, Json]:
    """Read a manifest.json, which has at least {"data": {"name": ..., "caveat": ...}, "machines": [{...}, ...]}.

    StoreError if it does not.
    """
    try:
        manifest = read_json(path)
    except StoreError as error:
        if path.exists():
            raise StoreError(f"{error}; delete it to have it written again") from error
        raise
    data, machines = manifest.get("data"), manifest.get("machines")
    texts = [data.get("name"), data.get("caveat")] if isinstance(data, dict) else [None]
    described = all(isinstance(text, str) and len(text) <= LONGEST for text in texts)
    if not described or not isinstance(machines, list) or not all(map(_is_machine, machines)):
        raise StoreError(f"{path} does not describe data and machines; delete it to have it written again")
    return manifest


def _is_machine(described: Json) -> bool:
    return isinstance(described, dict) and is_whole(described.get("runs", 0)) and described.get("runs", 0) >= 0


class Manifest:
    """The manifest of a directory in which this machine is going to work; `now` is what machine.describe returned.

    StoreError if the directory was made from data of other content, or by another version, or the file is damaged.
    """

    def __init__(self, path: Path, now: Mapping[str, Json]) -> None:
        now = json.loads(json.dumps(now))
        self._path, self.data, self._machine = path, now["data"], now["machine"]
        there = read_manifest(path) if path.exists() else {"data": self.data, "machines": [], "format": FORMAT}
        if there["data"] | SAID != self.data | SAID:
            raise StoreError(f"{path.parent} was made from other data: {_differing(there['data'], self.data)}. "
                             "Choose another directory, or the data that it was made from")  # fmt: skip
        if there.get("format") != FORMAT:
            raise StoreError(f"{path.parent} was made by another version of npticket: choose another directory")
        self._there = there
        bare = ({name: machine[name] for name in machine if name not in OF_RUNS} for machine in there["machines"])
        self._machines = {_digest(machine): machine for machine in bare}

    @property
    def here(self) -> str:
        """The digest by which run files name this machine."""
        return _digest(self._machine)

    def made_on(self, worker: Mapping[str, Json]) -> str:
        """Return the digest of a worker's machine; `worker` is what machine.details returned there."""
        machine = {**self._machine, **worker}
        self._machines.setdefault(_digest(machine), machine)
        return _digest(machine)

    def difference(self, makers: Mapping[str, Collection[Key]]) -> str:
        """Return how this machine differs from those that made runs, in a way that may change bits of results; or "".

        `makers` maps the digests of machines to the runs they made.
        """
        now = _alike(self._machine)
        known = {name: machine for name, machine in self._machines.items() if name in makers}
        other = {name: machine for name, machine in known.items() if _alike(machine) != now}
        said = []
        for name, value in now.items():
            if there := dict.fromkeys(str(m[name]) for m in other.values() if m.get(name, value) != value):
                said.append(f"{name} {' and '.join(there)} there, {value} now")
        if makers.keys() - known.keys():
            said.append("a machine that manifest.json does not describe")
        count = sum(len(keys) for name, keys in makers.items() if name in other or name not in known)
        were = "runs were" if count > 1 else "run was"
        return f"{count} finished {were} made otherwise: {'; '.join(said)}" if said else ""

    def write(self, makers: Mapping[str, Collection[Key]], chosen: Mapping[str, int]) -> None:
        """Write the file, if it changes: the machines of `makers` and their runs, or else this machine.

        `chosen` says of what engines chose by timing in how many runs they did.
        """
        self._machines.setdefault(self.here, self._machine)
        machines = {name: machine for name, machine in self._machines.items() if name in makers}
        machines = machines or {self.here: self._machine}
        several = sum(map(bool, makers.values())) > 1
        of_runs = {name: {"runs": len(keys)} | ({"made": _places(keys)} if several else {})
                   for name, keys in makers.items() if keys}  # fmt: skip
        found = {**self._there, "machines": [m | of_runs.get(name, {}) for name, m in machines.items()]}
        if chosen or "chosen" in found:
            found["chosen"] = dict(sorted(chosen.items()))
        if found != self._there:
            write_json(self._path, found)
            self._there = found


def _differing(there: Mapping[str, Json], now: Mapping[str, Json]) -> str:
    """A text that names both data sets and the entries in which they differ."""
    which = [f"{data['name']} from {data.get('source', 'somewhere')}" for data in (there, now)]
    names = [name for name in {**there, **now} if name not in SAID and there.get(name) != now.get(name)]
    return f"{which[0]} there, {which[1]} now, which differ in {', '.join(names)}"


def _places(keys: Collection[Key]) -> dict[str, dict[str, str]]:
    """The rounds of some runs by series and trial: 0, 1, 2 and 4 are "0-2, 4"."""
    rounds: dict[str, dict[str, list[int]]] = {}
    for series, round, trial in sorted(keys):
        rounds.setdefault(series, {}).setdefault(str(trial), []).append(round)
    return {series: {trial: _ranges(of_trial) for trial, of_trial in by.items()} for series, by in rounds.items()}


def _ranges(rounds: Collection[int]) -> str:
    first, last = ([round for round in rounds if round + by not in rounds] for by in (-1, 1))
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(first, last, strict=True))


def _alike(machine: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in machine.items() if name not in NO_BIT}


def _digest(machine: Mapping[str, Json]) -> str:
    return digest(machine)[:16]
