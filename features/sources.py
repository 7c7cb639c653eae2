"""The sources of the hybrid: one table of all that is known of each, and where each lives in the fused space.

The blend of dot-product sources is linear, so it is one dot product in a concatenated space:

    score(i) = sum_s w_s * z_s(i),   z_s(i) = u_s . (v_s(i) - mean_s) / std_s(u)

With item vectors centred at export (and zero where a film has no such vector, which is exactly the
neutral z-score), a query is the concatenation of w_s / std_s(u) * u_s, std_s(u) = sqrt(u' Cov_s u),
and one FAISS search returns the blend's own top K: no per-source candidate lists to reconcile.
The item-to-item source is sparse, not a dot product; it joins as extra scores (see the retrieval model).

Stands alone (the standard library): export places a copy of this file beside the retrieval model of the model
repository, where nothing else of ours can be imported. docs/extending.md tells how to add a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Source:
    """One opinion on films. Every model, tensor and word of it elsewhere comes from here, or a test compares it."""

    name: str
    """In weights, contributions, `degraded`, metrics and files."""
    width: int
    """Of its vectors of people and films; 0 = sparse: its model names candidates and scores them."""
    model: str | None
    """The model that reads a history; that of the sparse source has its name. None: every person's vector is 1."""
    output: str | None
    """The tensor of `model` that holds the person's vector; None: no vector comes from a model."""
    fusion_input: str | None
    """The tensor of `fusion` that takes it."""
    deadline: str | None
    """Its name in SOURCE_TIMEOUTS_MS; sources of one model share one. None: nothing is waited for."""
    neural: bool
    """Made by a neural network; `use_embeddings=false` does without."""
    kind: Literal["collaborative", "content", "popularity"]
    """What film vectors or scores are learnt from: who watched what, what is in a film, how many watched it."""
    label: str
    """On the page."""
    explanation: str
    """On the page, below the label."""
    meaning: str
    """What its vectors come from, for people who read exported embeddings."""


TABLE = (
    Source(
        name="sequence", width=64, kind="collaborative", neural=True,
        model="sequence_encoder", output="user_embedding", fusion_input="sequence_embedding", deadline="sequence",
        label="Next to watch",
        explanation="a transformer that reads your films in the order you watched them",
        meaning="the transformer over watch history",
    ),
    Source(
        name="two_tower", width=64, kind="collaborative", neural=True,
        model="user_tower", output="user_embedding", fusion_input="two_tower_embedding", deadline="two_tower",
        label="Similar viewers",
        explanation="two towers that place people and films in one space",
        meaning="user tower and item tower",
    ),
    Source(
        name="ials", width=64, kind="collaborative", neural=False,
        model="ials_user", output="user_embedding", fusion_input="ials_embedding", deadline="ials",
        label="Shared tastes",
        explanation="matrix factorisation over everybody's ratings",
        meaning="implicit factorisation; a person's factors are folded in from their history",
    ),
    Source(
        name="text", width=128, kind="content", neural=True,
        model="content_profile", output="text_profile", fusion_input="text_profile", deadline="content",
        label="The story",
        explanation="the film's text, encoded by a language model",
        meaning="MiniLM on a film's text, in 128 dimensions; a person is the mean of what they liked",
    ),
    Source(
        name="poster", width=64, kind="content", neural=True,
        model="content_profile", output="poster_profile", fusion_input="poster_profile", deadline="content",
        label="The poster",
        explanation="the film's poster, encoded by an image model",
        meaning="ResNet50 on a film's poster, in 64 dimensions; a person is the mean of what they liked",
    ),
    Source(
        name="popularity", width=1, kind="popularity", neural=False,
        model=None, output=None, fusion_input=None, deadline=None,
        label="Popularity",
        explanation="how many people watch it",
        meaning="how often a film was watched; the same for everybody",
    ),
    Source(
        name="ease", width=0, kind="collaborative", neural=False,
        model="ease", output=None, fusion_input=None, deadline="ease",
        label="Seen together",
        explanation="item-to-item weights between films",
        meaning="item-to-item weights; scores of single films, no vectors",
    ),
)  # fmt: skip
"""All sources: the dense ones in the order of the fused space, then the sparse one."""

SOURCES = tuple(source.name for source in TABLE)
"""Their names, in the order of the `weights` tensor (B, S)."""

SOURCE_WIDTHS = {source.name: source.width for source in TABLE if source.width}
"""Width of each dense source's slice, in the order of the concatenation."""

FUSED_WIDTH = sum(SOURCE_WIDTHS.values())
"""D of the fused space."""

(NEIGHBOUR_SOURCE,) = (source.name for source in TABLE if not source.width)
"""The sparse item-to-item source, last in the table; its scores are added to the fused ones."""

NEIGHBOUR_WEIGHT = f"{NEIGHBOUR_SOURCE}_weight"
"""The output of `fusion` that holds its weight."""

FUSION_INPUTS = {source.name: source.fusion_input for source in TABLE if source.fusion_input}
"""Source -> the input of `fusion` that takes its vector."""

TIMED_SOURCES = tuple(dict.fromkeys(source.deadline for source in TABLE if source.deadline))
"""Names of the deadlines."""

NEURAL_SOURCES = frozenset(source.name for source in TABLE if source.neural)
"""Sources whose vectors neural networks make."""

LEARNT_SOURCES = tuple(source.name for source in TABLE if source.kind == "collaborative" and source.width)
"""Dense sources whose item vectors come from what people watched."""

CONTENT_SOURCES = tuple(source.name for source in TABLE if source.kind == "content")
"""Sources whose item vectors come from what is in a film."""


def encoders() -> dict[str, dict[str, str]]:
    """Model -> its outputs, in their order -> the dense source of each."""
    found: dict[str, dict[str, str]] = {}
    for source in TABLE:
        if source.model and source.output:
            found.setdefault(source.model, {})[source.output] = source.name
    return found


def deadlines() -> dict[str, str]:
    """Model -> the name of its deadline."""
    return {source.model: source.deadline for source in TABLE if source.model and source.deadline}


def source_slices() -> dict[str, slice]:
    """Columns of each dense source in the fused space."""
    slices, start = {}, 0
    for name, width in SOURCE_WIDTHS.items():
        slices[name] = slice(start, start + width)
        start += width
    return slices
