"""Each model against numbers worked out by hand, and what all serving modules owe an odd history."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from features.history import HISTORY_LENGTH, WatchHistory, history_tensors
from features.sources import SOURCE_WIDTHS, SOURCES
from training.models.content_profile import ContentProfileConfig, content_profile
from training.models.ease import DENSE_UP_TO, EaseConfig, EaseModel, fit_ease, item_weights
from training.models.fused_query import centre, fused_query
from training.models.ials import IalsUser
from training.models.popularity import PopularityConfig, fit_popularity
from training.models.sequence import SequenceConfig, SequenceNet, sampled_softmax
from training.models.tower_losses import bpr, in_batch_softmax, squared_error
from training.models.two_tower import TwoTowerConfig, TwoTowerNet, side_features

N_ITEMS = 30


def tensors(*histories: WatchHistory) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(column) for column in history_tensors(histories).values())


def history(rows: list[int], ratings: list[float] | None = None, stamps: list[int] | None = None) -> WatchHistory:
    return WatchHistory(
        np.array(rows, dtype=np.int64),
        np.array(ratings if ratings is not None else [0.0] * len(rows), dtype=np.float32),
        np.array(stamps if stamps is not None else [0] * len(rows), dtype=np.int64),
    )


def days(*values: float) -> list[int]:
    return [1_000_000_000 + int(86_400 * value) for value in values]


def ease_module() -> nn.Module:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 20, 200), rng.integers(0, N_ITEMS, 200)
    return fit_ease(users, items, N_ITEMS, EaseConfig(l2=1.0, candidates=N_ITEMS))


def ials_module() -> nn.Module:
    module = IalsUser(N_ITEMS, 8, 5.0, 1.0, 5.0, 0.0, 0.5, 12)
    factors = torch.randn(N_ITEMS, 8, generator=torch.Generator().manual_seed(0))
    module.item_factors[1:] = factors
    module.gram += factors.T @ factors
    return module


def profile_module() -> nn.Module:
    rng = np.random.default_rng(0)
    present = np.ones(N_ITEMS, dtype=np.bool_)
    text, poster = rng.random((N_ITEMS, 6), dtype=np.float32), rng.random((N_ITEMS, 4), dtype=np.float32)
    return content_profile(text, present, poster, present, ContentProfileConfig())


def sequence_module() -> nn.Module:
    torch.manual_seed(0)
    return SequenceNet(torch.rand(N_ITEMS, 5), SequenceConfig(blocks=2)).serving()


def tower_module() -> nn.Module:
    torch.manual_seed(0)
    features = torch.rand(N_ITEMS, 5)
    return TwoTowerNet(features, features, torch.rand(N_ITEMS, 7), TwoTowerConfig()).serving()


MODULES: dict[str, Callable[[], nn.Module]] = {
    "ease": ease_module, "ials_user": ials_module, "content_profile": profile_module,
    "sequence_encoder": sequence_module, "user_tower": tower_module,
}  # fmt: skip


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> nn.Module:
    return MODULES[request.param]().eval()


@torch.no_grad()
def test_empty_history_gives_zeros_and_no_nan(module: nn.Module) -> None:
    for output, name in zip(module(*tensors(history([]))), module.output_names, strict=True):
        assert torch.equal(output, torch.full_like(output, -1 if name == "candidate_rows" else 0))


@torch.no_grad()
def test_one_row_does_not_depend_on_the_others_of_its_batch(module: nn.Module) -> None:
    people = [history([3, 4, 5], [5, 1, 3], days(0, 1, 9)), history([]), history(list(range(25))), history([7])]

    together = module(*tensors(*people))

    for row, person in enumerate(people):
        for alone, batched in zip(module(*tensors(person)), together, strict=True):
            # Sums over a batch may add in another order: a few units in the last of 24 bits.
            torch.testing.assert_close(alone[0], batched[row], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_what_stands_in_the_padding_changes_nothing(module: nn.Module) -> None:
    tokens, ratings, age_days = tensors(history([3, 4, 5], [5, 2, 3], days(0, 1, 9)))
    dirty_ratings, dirty_ages = ratings.clone(), age_days.clone()
    dirty_ratings[:, 3:], dirty_ages[:, 3:] = 0.5, 77.0

    clean, dirty = module(tokens, ratings, age_days), module(tokens, dirty_ratings, dirty_ages)

    for one, other in zip(clean, dirty, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_only_the_newest_fifty_films_count(module: nn.Module) -> None:
    newest = [row % N_ITEMS for row in range(HISTORY_LENGTH)]

    long, cut = module(*tensors(history([9] * 20 + newest))), module(*tensors(history(newest)))

    assert all(torch.equal(one, other) for one, other in zip(long, cut, strict=True))


@torch.no_grad()
def test_extreme_histories_stay_finite(module: nn.Module) -> None:
    people = [
        history([0] * 50, [0.5] * 50, days(*[0] * 50)), history([1, 2], [5, 0.5], days(0, 20_000)), history([29], [5]),
    ]  # fmt: skip

    assert all(bool(torch.isfinite(output).all()) for output in module(*tensors(*people)))


def small_watched() -> npt.NDArray[np.float32]:
    return np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 1]], dtype=np.float32)


def ease_by_definition(watched: npt.NDArray[np.float32], l2: float) -> npt.NDArray[np.float64]:
    """B = I - P diagMat(1 / diag P), P = (X'X + l2 I)^-1: equation 8 of Steck 2019."""
    inverse = np.linalg.inv(watched.T.astype(np.float64) @ watched + l2 * np.eye(watched.shape[1]))
    return np.eye(watched.shape[1]) - inverse / np.diag(inverse)


@pytest.mark.parametrize("people", [3, 5], ids=["fewer people than films", "more people than films"])
def test_ease_weights_follow_their_definition(people: int) -> None:
    watched = small_watched()[:people]

    weights = item_weights(sparse.csr_matrix(watched), l2=0.5)

    # float32 against float64: the inverse of a 4 x 4 matrix keeps five digits.
    np.testing.assert_allclose(weights, ease_by_definition(watched, 0.5), atol=1e-5)


@torch.no_grad()
def test_ease_scores_are_the_weighted_sum_of_neighbours_over_their_spread() -> None:
    people, items = np.nonzero(small_watched())
    config = EaseConfig(l2=0.5, neighbours=4, candidates=4, half_life_films=1.0, floor=0.0)
    weights = ease_by_definition(small_watched(), 0.5)

    rows, scores = fit_ease(people, items, 4, config)(*tensors(history([0, 1])))

    # Film 1 is newest and counts 1, film 0 one back counts 1/2; films seen score 0.
    expected = 0.5 * weights[0] + weights[1]
    expected[[0, 1]] = 0
    expected /= expected.std()
    best = [row for row in np.argsort(-expected) if expected[row] > 0]
    assert rows[0].tolist() == best + [-1] * (4 - len(best))
    np.testing.assert_allclose(scores[0, : len(best)], expected[best], rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("n_items", [DENSE_UP_TO, DENSE_UP_TO + 1], ids=["dense", "sparse"])
def test_ease_adds_up_neighbours_alike_in_small_and_large_catalogues(n_items: int) -> None:
    model = EaseModel(n_items, 2, 3, half_life_films=1.0, floor=0.0, disliked=1.0)
    model.neighbour_rows[1], model.neighbour_weights[1] = torch.tensor([5, 9]), torch.tensor([2.0, -1.0])
    model.neighbour_rows[2], model.neighbour_weights[2] = torch.tensor([5, 7]), torch.tensor([3.0, 2.0])

    rows, scores = model(*tensors(history([0, 1])))

    # Film 0 is one back and counts 1/2: film 5 gets 2/2 + 3 = 4, film 7 gets 2, film 9 gets -1/2; all others 0.
    spread = np.std([4, 2, -0.5] + [0] * (n_items - 3))
    assert rows[0].tolist() == [5, 7, -1]
    np.testing.assert_allclose(scores[0], [4 / spread, 2 / spread, 0], rtol=1e-4)


@torch.no_grad()
def test_ease_never_returns_a_film_of_the_history() -> None:
    rows, _ = ease_module()(*tensors(history([1, 2, 3, 4])))

    assert not np.isin(rows.numpy(), [1, 2, 3, 4]).any()


def test_ease_keeps_to_the_most_watched_films_when_there_are_too_many() -> None:
    rng = np.random.default_rng(0)
    items = np.r_[rng.integers(0, 5, 300), rng.integers(5, N_ITEMS, 30)]

    model = fit_ease(rng.integers(0, 40, 330), items, N_ITEMS, EaseConfig(max_items=5))

    assert isinstance(model, EaseModel)
    assert model.neighbour_weights[6:].abs().sum() == 0
    assert model.neighbour_weights[1:6].abs().sum() > 0


@torch.no_grad()
def test_ials_fold_in_solves_the_least_squares_problem() -> None:
    module = ials_module()
    assert isinstance(module, IalsUser)
    factors = module.item_factors[1:].double()
    # Newest first: film 7 counts 1, film 2 counts 2^(-1/5); film 2's rating of 2 is half way to .5 stars: (3.5-2)/3.
    strength = torch.tensor([2 ** (-1 / 5) * (1 - 0.5 * 0.5), 1.0], dtype=torch.float64)
    watched = factors[[2, 7]]
    left = factors.T @ factors + torch.eye(8) + watched.T @ (5 * strength[:, None] * watched)
    right = (6 * strength[:, None] * watched).sum(0)

    (user,) = module(*tensors(history([2, 7], [2.0, 5.0])))

    # Twelve conjugate-gradient steps on eight unknowns are exact but for float32 rounding.
    torch.testing.assert_close(user[0].double(), torch.linalg.solve(left, right), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_content_profile_is_the_mean_of_liked_and_unrated_films() -> None:
    text = np.eye(4, dtype=np.float32)
    here = np.ones(4, dtype=np.bool_)
    module = content_profile(text, here, text, here, ContentProfileConfig(half_life_films=1.0))

    profile, _ = module(*tensors(history([0, 1, 2, 3], [5.0, 4.0, 3.0, 0.0])))

    # Recency 1/8, 1/4, 1/2, 1; weight by rating 1, .8, 0 (disliked), 1 (not rated).
    weights = np.array([1 / 8, 0.8 / 4, 0, 1])
    np.testing.assert_allclose(profile[0], weights / weights.sum(), rtol=1e-5)


@torch.no_grad()
def test_content_profile_skips_films_without_a_vector() -> None:
    poster = np.array([[1, 0], [0, 0]], dtype=np.float32)
    here = np.array([True, False])
    module = content_profile(poster, here, poster, here, ContentProfileConfig())

    profile, _ = module(*tensors(history([0, 1])))

    np.testing.assert_allclose(profile[0], [1, 0])


def test_popularity_halves_with_each_half_life() -> None:
    stamps = np.array(days(0, 10, 20))

    counts = fit_popularity(np.array([0, 1, 1]), stamps, 3, PopularityConfig(half_life_days=10))

    np.testing.assert_allclose(counts, [0.25, 1.5, 0])


def test_popularity_without_half_life_counts_events() -> None:
    counts = fit_popularity(np.array([0, 1, 1]), np.array(days(0, 10, 20)), 3, PopularityConfig(half_life_days=0))

    assert counts.tolist() == [1, 2, 0]


def test_sampled_softmax_of_one_orthogonal_negative() -> None:
    table = torch.tensor([[0.0, 0], [2, 0], [0, 3]])  # lengths do not matter: cosines are 1 and 0

    loss = sampled_softmax(torch.tensor([[1.0, 0]]), torch.tensor([[1]]), torch.tensor([2]), table, temperature=0.5)

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_sampled_softmax_masks_a_negative_that_is_the_positive() -> None:
    table = torch.tensor([[0.0, 0], [1, 0], [0, 1]])

    loss = sampled_softmax(torch.tensor([[1.0, 0]]), torch.tensor([[1]]), torch.tensor([1, 2]), table, temperature=1.0)

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-5)


def test_sampled_softmax_is_the_mean_over_the_positives_there_are() -> None:
    table = torch.tensor([[0.0, 0], [1, 0], [0, 1], [-1, 0]])

    both = sampled_softmax(torch.tensor([[1.0, 0]]), torch.tensor([[1, 2, 0]]), torch.tensor([3]), table, 1.0)

    # Cosines 1 and 0 against a negative of -1; the third place is empty.
    assert both.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2, rel=1e-5)


def test_in_batch_softmax_takes_the_log_of_the_chance_off_every_column() -> None:
    items = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    log_q = torch.log(torch.tensor([0.5, 0.25, 0.125]))

    loss = in_batch_softmax(items[:2], torch.tensor([[4], [5]]), torch.tensor([4, 5, 6]), items, log_q, temperature=1.0)

    # exp(logit) = exp(cosine) / chance: person 0 has 2e, 4, 8; person 1 has 2, 4e, 8e.
    first = -math.log(2 * math.e / (2 * math.e + 4 + 8))
    second = -math.log(4 * math.e / (2 + 4 * math.e + 8 * math.e))
    assert loss.tolist() == pytest.approx([first, second], rel=1e-5)


def test_in_batch_softmax_masks_accidental_hits() -> None:
    # Both want film 4, and person 0 also film 9: neither may count among that person's negatives.
    items = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    users = torch.tensor([[1.0, 0], [1, 0]])

    loss = in_batch_softmax(
        users, torch.tensor([[4, 9], [4, 0]]), torch.tensor([4, 7, 9]), items, torch.zeros(3), temperature=1.0
    )  # fmt: skip

    # Person 0: cosines 1 and 0 against film 7 of cosine 0. Person 1: 1 against films 7 and 9, of 0 and 0.
    first = (math.log(1 + math.exp(-1)) + math.log(2)) / 2
    assert loss.tolist() == pytest.approx([first, math.log(1 + 2 / math.e)], rel=1e-5)


def test_bpr_is_the_log_sigmoid_of_the_lead_over_another_film() -> None:
    items = torch.tensor([[0.0, 1], [1, 0]])

    # The only person's other film is column 0, of cosine 0; the positive has cosine 1.
    loss = bpr(torch.tensor([[1.0, 0]]), torch.tensor([[9]]), torch.tensor([4, 9]), items, temperature=0.5)

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_squared_error_pulls_positives_to_one_and_another_film_to_zero() -> None:
    items = torch.tensor([[0.6, 0.8], [0.8, 0.6]])

    loss = squared_error(torch.tensor([[1.0, 0]]), torch.tensor([[9]]), torch.tensor([4, 9]), items)

    assert loss.item() == pytest.approx((1 - 0.8) ** 2 + 0.6**2, rel=1e-5)


def test_a_positive_is_not_compared_with_itself() -> None:
    items = torch.tensor([[1.0, 0], [0, 1]])

    loss = bpr(torch.tensor([[1.0, 0]]), torch.tensor([[4]]), torch.tensor([4, 9]), items, temperature=1.0)

    assert loss.item() == 0


def test_side_features_of_two_rated_films() -> None:
    tokens, ratings, age_days = tensors(history([0, 1], [5.0, 3.0], days(0, 3)))
    present = (tokens > 0).float()
    back = present.sum(1, keepdim=True) - present.cumsum(1)
    profiles = torch.zeros(1, HISTORY_LENGTH, 2)
    profiles[0, 0, 0] = profiles[0, 1, 1] = 1

    side = side_features(present, back, ratings, age_days, profiles)[0]

    mean, deviation, spread, rated, count, span, velocity, recency, liked = side[:9].tolist()
    assert mean == pytest.approx(4 - 3.5)
    assert deviation == pytest.approx(1, abs=1e-5)
    assert spread == pytest.approx(2 / 4)
    assert rated == pytest.approx(2 / 50)
    assert count == pytest.approx(math.log(3) / 4)
    assert span == pytest.approx(math.log(4) / 8, rel=1e-4)
    assert velocity == pytest.approx(math.log(3) - math.log(4), rel=1e-4)
    older = 2 ** (-1 / 5)
    assert recency == pytest.approx(math.log1p(3 * older / (1 + older)) / 8, rel=1e-4)
    assert liked == pytest.approx(1 / 2)
    torch.testing.assert_close(side[9:11], torch.tensor([older, 1.0]) / (1 + older))
    torch.testing.assert_close(side[11:13], torch.tensor([1.0, 0.0]))


@torch.no_grad()
def test_transformer_states_do_not_see_later_films() -> None:
    torch.manual_seed(0)
    net = SequenceNet(torch.rand(N_ITEMS, 5), SequenceConfig(blocks=2)).eval()
    table = net.items()
    one = net.states(table, *tensors(history([1, 2, 3, 4])))
    other = net.states(table, *tensors(history([1, 2, 9, 8])))

    assert torch.equal(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2], other[:, 2])


@torch.no_grad()
@pytest.mark.parametrize("blocks", [1, 2])
def test_served_embedding_is_the_state_after_the_newest_film(blocks: int) -> None:
    torch.manual_seed(0)
    net = SequenceNet(torch.rand(N_ITEMS, 5), SequenceConfig(blocks=blocks)).eval()
    for parameter in net.parameters():  # biases, too, begin as zeros, which any mistake leaves right
        nn.init.normal_(parameter, std=0.3)
    people = [history([3, 4, 5], [5, 1, 3], days(0, 1, 9)), history([7]), history([row % N_ITEMS for row in range(50)])]

    states = net.states(net.items(), *tensors(*people))
    (embedding,) = net.serving()(*tensors(*people))

    # Products are taken in another order: some units in the last of 24 bits.
    torch.testing.assert_close(embedding, states[[0, 1, 2], [2, 0, 49]], rtol=1e-4, atol=1e-5)


def test_a_film_without_events_has_a_vector_from_its_features() -> None:
    net = SequenceNet(torch.rand(N_ITEMS, 5), SequenceConfig())

    assert (net.item_vectors().norm(dim=1) > 0.99).all()


def random_sources(rng: np.random.Generator, n_items: int) -> dict[str, npt.NDArray[np.float32]]:
    vectors = {}
    for source, width in SOURCE_WIDTHS.items():
        present = rng.random(n_items) < 0.8
        vectors[source] = centre(rng.normal(size=(n_items, width)).astype(np.float32), present)
    return vectors


@torch.no_grad()
def test_query_scores_every_film_by_the_weighted_sum_of_z_scores() -> None:
    rng = np.random.default_rng(0)
    vectors = random_sources(rng, 500)
    users = {source: rng.normal(size=(3, width)).astype(np.float32) for source, width in SOURCE_WIDTHS.items()}
    users["popularity"] = np.ones((3, 1), dtype=np.float32)
    weights = rng.random((3, len(SOURCES))).astype(np.float32)
    dense = [source for source in SOURCE_WIDTHS if source != "popularity"]

    inputs = [*(users[name] for name in dense), weights]
    query, ease_weight = fused_query(vectors)(*map(torch.from_numpy, inputs))

    expected = np.zeros((3, 500))
    for column, source in enumerate(SOURCE_WIDTHS):
        scores = users[source].astype(np.float64) @ vectors[source].T
        known = (vectors[source] != 0).any(axis=1)
        z = scores / scores[:, known].std(axis=1, keepdims=True)  # their mean is 0: the vectors are centred
        expected += weights[:, column : column + 1] * z
    fused = query.numpy() @ np.concatenate([vectors[source] for source in SOURCE_WIDTHS], axis=1).T
    # Scores of size 5 summed over 385 float32 products.
    np.testing.assert_allclose(fused, expected, atol=1e-3)
    np.testing.assert_allclose(ease_weight[:, 0], weights[:, -1])


@torch.no_grad()
def test_a_source_without_a_vector_is_left_out_of_the_query() -> None:
    module = fused_query(random_sources(np.random.default_rng(0), 100))
    empty = [torch.zeros(1, width) for source, width in SOURCE_WIDTHS.items() if source != "popularity"]

    query, _ = module(*empty, torch.ones(1, len(SOURCES)))

    assert torch.equal(query[:, :-1], torch.zeros_like(query[:, :-1]))
    assert query[0, -1] > 0
