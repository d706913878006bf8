"""A paper, with all that it brings, and the library of all papers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from npticket.experiments.parts import BUILT_IN, Parts, merged
from npticket.experiments.recipe import Recipe
from npticket.report.claims import Claim
from npticket.report.figures import DEFAULT, Plot
from npticket.report.sweeps import Sweep

T = TypeVar("T")


@dataclass(frozen=True)
class Paper:
    """A paper: its recipes and sweeps, the parts that they need besides the built-in ones, its claims and plots."""

    key: str
    citation: str
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    parts: Parts = field(default_factory=Parts)
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    plots: Sequence[Plot] = DEFAULT

    @property
    def published(self) -> dict[str, Recipe]:
        """All its recipes, those of sweeps included, by name; a sweep may take in one of `recipes` as it is."""
        each = (recipe for sweep in self.sweeps.values() for recipe in sweep.recipes.values())
        swept = (recipe for recipe in each if self.recipes.get(recipe.name) != recipe)
        return _once("recipes", ((recipe.name, recipe) for recipe in (*self.recipes.values(), *swept)))


class Library:
    """All that papers bring, by name.

    ValueError if two things of a kind have the same name, a recipe stands under another name than its own or has a
    series that there is not, or a claim is about a recipe that there is not.
    """

    def __init__(self, papers: Sequence[Paper]) -> None:
        self.papers = tuple(papers)
        _once("papers", ((paper.key, paper) for paper in papers))
        self.recipes = _once("recipes", (item for paper in papers for item in paper.recipes.items()))
        self.sweeps = _once("sweeps", (item for paper in papers for item in paper.sweeps.items()))
        self.published = _once("recipes", (item for paper in papers for item in paper.published.items()))
        _once("recipes or sweeps", (*self.recipes.items(), *self.sweeps.items()))  # both are run by name
        self.claims = [claim for paper in papers for claim in paper.claims]
        _once("claims", ((claim.id, claim) for claim in self.claims))
        self.parts = replace(merged(*(paper.parts for paper in papers), BUILT_IN), published=self.published)
        _check_names(papers, self.parts)

    def plots(self, recipe: Recipe) -> Sequence[Plot]:
        """Return the plots for a recipe: those of the paper it is from or, else, that brings its first series."""
        having = [paper.plots for paper in self.papers if recipe.name in paper.published]
        bringing = [paper.plots for paper in self.papers if recipe.series[0] in paper.parts.series]
        return [*having, *bringing, DEFAULT][0]


def _check_names(papers: Sequence[Paper], parts: Parts) -> None:
    for paper in papers:
        if wrong := next((name for name, recipe in paper.recipes.items() if recipe.name != name), None):
            raise ValueError(f"{paper.key}: the recipe {paper.recipes[wrong].name} stands under the name {wrong}")
        for name, recipe in paper.published.items():
            if lost := set(recipe.series) - set(parts.series):
                raise ValueError(f"{paper.key}: the recipe {name} has the series {', '.join(lost)}, which there is not")
        for claim in paper.claims:
            if lost := set(claim.recipes) - set(parts.published):
                raise ValueError(f"{paper.key}: the claim {claim.id} is about {', '.join(lost)}, which is no recipe")


def _once(kind: str, items: Iterable[tuple[str, T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, item in items:
        if name in found:
            raise ValueError(f"there are two {kind} called {name}")
        found[name] = item
    return found
