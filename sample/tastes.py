"""The latent tastes of the simulated world, and how well each film fits each of them.

A taste is genres × era × country. The fit of a film is

    fit = min(1, sum of the weights of the film's genres that the taste wants)²
          × 0.35 for each of its genres that the taste avoids
          × exp(-((year - peak) / spread)² / 2)        where the taste has an era
          × 1 at home, `abroad` elsewhere               where the taste has countries

so fits lie in 0..1, and the square lets a film that answers only half of a taste fit it a quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.catalog import Film

_AVOIDED_FACTOR = 0.35
_ENGLISH = ("USA", "UK", "Australia", "Canada", "Ireland", "New Zealand")


@dataclass(frozen=True, slots=True)
class Taste:
    """One taste."""

    name: str
    wants: dict[str, float]
    """Genre → weight; weights of one film's genres add up."""
    avoids: tuple[str, ...] = ()
    era: tuple[float, float] | None = None
    """(peak year, spread in years); None = any time."""
    countries: tuple[str, ...] = ()
    """Home countries; empty = anywhere. A leading "not" turns the list round."""
    abroad: float = 0.1
    """What is left of the fit of a film from elsewhere."""


TASTES = (
    Taste("science fiction", {"Sci-Fi": 1.0}, avoids=("Animation", "Horror")),
    Taste("film noir", {"Film-Noir": 1.0, "Mystery": 0.4, "Crime": 0.3}, era=(1948, 12)),
    Taste("family animation", {"Animation": 0.7, "Children": 0.45}),
    Taste("romantic comedy", {"Romance": 0.55, "Comedy": 0.5}, avoids=("War", "Sci-Fi")),
    Taste("horror", {"Horror": 1.0}),
    Taste("war", {"War": 0.95, "Action": 0.1}, avoids=("Romance",)),
    Taste("western", {"Western": 1.0}),
    Taste("documentary", {"Documentary": 1.0}),
    Taste("musicals", {"Musical": 1.0}, avoids=("Animation",)),
    Taste("world cinema", {"Drama": 0.9, "Comedy": 0.5, "Fantasy": 0.4}, countries=("not", *_ENGLISH), abroad=0.02),
    Taste("modern action", {"Action": 0.75, "Adventure": 0.35}, avoids=("War",), era=(2005, 14)),
    Taste("gangsters", {"Crime": 0.85, "Drama": 0.2}, avoids=("Film-Noir", "Horror"), era=(1987, 16)),
    Taste("fantasy and adventure", {"Fantasy": 0.75, "Adventure": 0.35}, avoids=("Horror", "Sci-Fi")),
    Taste("modern thrillers", {"Thriller": 0.7, "Mystery": 0.5}, avoids=("Sci-Fi",), era=(2000, 16)),
    Taste("golden-age comedy", {"Comedy": 1.0}, avoids=("Horror",), era=(1942, 14)),
    Taste("drama of today", {"Drama": 0.95}, avoids=("Action", "Thriller", "Horror", "Sci-Fi"), era=(2012, 9)),
)


def film_fit(films: Sequence[Film], tastes: Sequence[Taste] = TASTES) -> npt.NDArray[np.float64]:
    """(N, K) how well each film fits each taste, 0 to 1."""
    return np.array([[_fit(film, taste) for taste in tastes] for film in films])


def _fit(film: Film, taste: Taste) -> float:
    fit = min(1.0, sum(taste.wants.get(genre, 0.0) for genre in film.genres)) ** 2
    fit *= _AVOIDED_FACTOR ** len(set(film.genres) & set(taste.avoids))
    if taste.era is not None:
        peak, spread = taste.era
        fit *= float(np.exp(-((((film.year or peak) - peak) / spread) ** 2) / 2))
    if taste.countries and not _at_home(film.country, taste.countries):
        fit *= taste.abroad
    return fit


def _at_home(country: str, countries: tuple[str, ...]) -> bool:
    turned_round = countries[0] == "not"
    return (country in countries) != turned_round
