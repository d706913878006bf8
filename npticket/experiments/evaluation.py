"""How many examples a training run evaluates; fewer than all if that would take longer than training."""

from collections.abc import Sequence
from dataclasses import replace

from npticket.datasets import Dataset
from npticket.experiments.amounts import counted
from npticket.experiments.recipe import Recipe

FASTER = 3  # times as many examples are evaluated in a second as trained, roughly
WHY = ": in so few steps all of them would take longer than training"
LEAST = 1_000  # examples of a split that are evaluated, if it has them


def times(recipe: Recipe, steps: int) -> tuple[int, int, int]:
    """Return about how often a run of so many steps evaluates the training, the validation and the test set."""
    return len(recipe.train_at) + recipe.train_at_end, steps // recipe.validate_every, len(recipe.test_at) + 2


def examples(recipe: Recipe, steps: int, sizes: Sequence[int]) -> int:
    """Return how many examples a run of so many steps evaluates, of splits of these sizes; repeated ones count."""
    most = recipe.evaluated or max(sizes)
    return sum(min(size, most) * often for size, often in zip(sizes, times(recipe, steps), strict=True))


def affordable(recipe: Recipe, data: Dataset) -> Recipe:
    """Return a recipe that evaluates fewer examples of each split, if all would take a run longer than its training.

    Then it evaluates, in all, about as many as it trains with, but at least LEAST of each split every time.
    """
    sizes, trained = (len(data.train), len(data.validation), len(data.test)), recipe.steps * recipe.batch
    if recipe.evaluated or examples(recipe, recipe.steps, sizes) <= FASTER * trained:
        return recipe
    most = max(LEAST, trained // sum(times(recipe, recipe.steps)) // 100 * 100)
    return replace(recipe, evaluated=most) if most < max(sizes) else recipe


def said(recipe: Recipe, asked: Recipe) -> str:
    """Return a line about how few examples are evaluated, and why if `asked` did not say so; "" if all of them are."""
    if not recipe.evaluated:
        return ""
    why = WHY * (recipe.evaluated != asked.evaluated)
    return f"Of each split at most {counted(recipe.evaluated, 'example')} are evaluated{why}.\n"
