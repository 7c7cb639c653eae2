"""What people see of whom nothing is known: films popular in the release and now, spread over genres; of the genres
they chose first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bento.recommender.ranking import cold_start
from bento.recommender.ranking.candidates import Ranked
from bento.recommender.ranking.trending import Trending
from bento.release.film_table import FilmTable
from bento.release.loading import Release
from bento.stores.person import PersonState


class Newcomers:
    """Lists for people without a history; made again when the films or what is popular have changed."""

    def __init__(self, release: Release, trending: Trending | None = None) -> None:
        """`trending` None: popular is what the release says."""
        self._release = release
        self._trending = trending
        self._made: tuple[FilmTable, int, npt.NDArray[np.int64]] | None = None

    def popular(self) -> Ranked:
        """All films that may be shown, for anybody."""
        return cold_start.as_ranked(self._order(), len(self._release.catalog))

    def chosen(self, state: PersonState) -> Ranked:
        """The same, with films of the genres that the person chose first."""
        if not state.genres:
            return self.popular()
        films = self._release.films
        order = cold_start.chosen_genres_first(
            self._order(), state.genres, self._popularity(films), films.catalog.genre_matrix
        )
        return cold_start.as_ranked(order, len(films.catalog))

    def _order(self) -> npt.NDArray[np.int64]:
        films, revision = self._release.films, self._trending.revision if self._trending else 0
        if self._made is None or self._made[0] is not films or self._made[1] != revision:
            order = cold_start.popular_and_diverse(self._popularity(films), films.catalog.genre_matrix)
            self._made = films, revision, order[films.visible[order]]
        return self._made[2]

    def _popularity(self, films: FilmTable) -> npt.NDArray[np.float32]:
        return films.popularity if self._trending is None else self._trending.popularity(films)
