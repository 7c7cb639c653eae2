"""What stars say of a person: when a film counts as liked, and when as disliked.

Ratings are 0.5 to 5 stars; 0 = watched without stars, which counts as liked: watching is a choice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_STARS = 0.5
MAX_STARS = 5.0

LIKED_FROM = 3.5
"""Stars: of what a person likes, of what makes a film popular, of what thanks for a recommendation."""

STRONGLY_LIKED_FROM = 4.0
"""Stars: of pairs of films that a text encoder is fine-tuned on, which must not be doubtful."""

NEUTRAL_STARS = 3.0
"""What a film without stars counts as where genres are weighed by stars."""

DISLIKED_BELOW = 3.0
"""Stars: nothing is recommended for being like such a film. From here to `LIKED_FROM` a film is neither."""

LIKE_EVENT_STARS = MAX_STARS
"""What an event `like` says in stars."""

DISLIKE_EVENT_STARS = MIN_STARS
"""What an event `dislike` says in stars."""


def liked(ratings: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which films of a history are liked."""
    return (ratings == 0) | (ratings >= LIKED_FROM)


def not_disliked(ratings: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which films of a history are liked, or neither liked nor disliked."""
    return (ratings == 0) | (ratings >= DISLIKED_BELOW)
