"""Scenes for each genre, several of each; a film's random generator chooses one and varies it."""

from __future__ import annotations

from collections.abc import Callable

from sample.posters.canvas import Canvas
from sample.posters.scenes import bright, dark, intimate, outdoors, stage, town, worlds

SCENES: dict[str, tuple[Callable[[Canvas], None], ...]] = {
    "Documentary": (worlds.contours, worlds.globe, worlds.film_strip),
    "Film-Noir": (town.street_lamp, town.blind),
    "Western": (outdoors.mesas, outdoors.railroad, outdoors.wagon_wheel),
    "Horror": (dark.dead_tree, dark.lit_house, dark.eyes, dark.reaching_hand),
    "Animation": (bright.balloons, bright.creature, bright.mushrooms),
    "Sci-Fi": (worlds.neon_plain, worlds.strange_ridge, worlds.city_of_tomorrow, worlds.rocket),
    "War": (outdoors.searchlights, outdoors.soldiers_at_dawn, outdoors.barbed_wire),
    "Musical": (stage.spotlights, stage.ring_of_bulbs, stage.record, stage.piano),
    "Children": (bright.hot_air_balloon, bright.kite),
    "Fantasy": (worlds.castle, worlds.dragon),
    "Mystery": (dark.keyhole, dark.door_ajar, dark.magnifier),
    "Romance": (intimate.couple_at_dusk, intimate.overlapping_discs, intimate.heart, intimate.bridge),
    "Crime": (town.night_street, town.fingerprint, town.handcuffs, town.headlights),
    "Comedy": (bright.smile, bright.bowler_hat, bright.pennants, bright.umbrella, bright.rubber_duck),
    "Action": (town.blast, town.chase),
    "Adventure": (outdoors.mountains, outdoors.sail),
    "Thriller": (dark.spiral, dark.rings, dark.turning_squares),
    "Drama": (intimate.window, intimate.lone_tree, intimate.shore, intimate.colour_fields, intimate.stair,
              intimate.telegraph_road),
}  # fmt: skip
"""The most telling genre first: a film is drawn as the first of these that it has."""
