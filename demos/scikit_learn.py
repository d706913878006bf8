"""Tickets of tabular data: accuracy against weights remaining, beside scikit-learn's dense MLPClassifier.

    python demos/scikit_learn.py

The data are handwritten digits, breast cancer, and a CSV file with a header and the class in the last column. A quarter
of the examples is for testing; what is shown are means over two splits.
"""

import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from npticket.estimator import LotteryTicketClassifier

CSV = Path(sklearn.__file__).parent / "datasets" / "data" / "wine_data.csv"
ROUNDS, SEEDS = (0, 5, 10), range(2)


def from_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Examples and classes of a CSV file."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


def main() -> None:
    """Print a line for each data set and density."""
    warnings.simplefilter("ignore")  # MLPClassifier's, that it could train for longer
    data = {"digits": load_digits(return_X_y=True), "breast cancer": load_breast_cancer(return_X_y=True)}
    print("data             weights   ticket   MLPClassifier, dense")
    for name, (X, y) in {**data, CSV.name: from_csv(CSV)}.items():
        parts = [train_test_split(X, y, stratify=y, random_state=seed) for seed in SEEDS]
        dense = np.mean([tested(MLPClassifier(random_state=0), *one).score(one[1], one[3]) for one in parts])
        for rounds in ROUNDS:
            made = [tested(LotteryTicketClassifier(rounds=rounds, random_state=0), *one) for one in parts]
            accuracy = np.mean([one.score(part[1], part[3]) for one, part in zip(made, parts, strict=True)])
            print(f"{name:15} {made[0][-1].density_:8.1%} {accuracy:8.1%}   {'' if rounds else f'{dense:.1%}'}")


def tested(classifier, X, _, y, __):
    """The classifier, trained on scaled inputs."""
    return make_pipeline(StandardScaler(), classifier).fit(X, y)


if __name__ == "__main__":
    main()
