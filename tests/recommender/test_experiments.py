"""Experiments: who is in which arm, what an arm changes, what is counted, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.experiments import Arm, Experiment, Experiments, ExperimentsError, read_experiments
from bento.recommender.over_http.experiment_routes import ExperimentRoutes
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.people.event_routes import EventRoutes
from bento.recommender.people.events import Feedback
from bento.recommender.people.impressions import Impressions
from bento.recommender.recommendations import Recommendations
from bento.recommender.schemas import RecommendRequest
from bento.stores.errors import StoreUnavailable
from bento.stores.spool import Spool
from tests.recommender.genre_world import WEIGHTS
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryEventLog, MemoryImpressionLog

BLEND = Experiment("blend", [Arm("always", 0.5), Arm("popular", 0.5, preset="popular")])
PEOPLE = [f"person {number}" for number in range(20_000)]


def test_an_arm_is_the_same_every_time_and_close_to_its_share() -> None:
    experiment = Experiment("x", [Arm("a", 0.2), Arm("b", 0.3)])
    drawn = Counter(arm.name if (arm := experiment.arm_of(person)) else None for person in PEOPLE)
    assert [experiment.arm_of(person) for person in PEOPLE[:50]] == [
        experiment.arm_of(person) for person in PEOPLE[:50]
    ]
    # Four standard errors of a share of 20,000: at most 4 * sqrt(.25 / 20000) = .014.
    assert [drawn[name] / len(PEOPLE) for name in ("a", "b", None)] == pytest.approx([0.2, 0.3, 0.5], abs=0.014)


def test_shares_that_add_up_to_one_leave_nobody_out() -> None:
    thirds = Experiment("x", [Arm(name, 1 / 3) for name in "abc"])
    assert all(thirds.arm_of(person) for person in PEOPLE)


@pytest.mark.parametrize("other", [Experiment("y", BLEND.arms), Experiment("blend", BLEND.arms, salt="again")])
def test_another_name_or_salt_draws_other_people(other: Experiment) -> None:
    both = Counter((BLEND.arm_of(person).name, other.arm_of(person).name) for person in PEOPLE)  # type: ignore[union-attr]
    assert [both[pair] / len(PEOPLE) for pair in both] == pytest.approx([0.25] * 4, abs=0.013)


def someone_in(arm: str, experiment: Experiment = BLEND) -> str:
    return next(person for person in PEOPLE if experiment.arm_of(person).name == arm)  # type: ignore[union-attr]


def test_an_arm_overrides_what_the_request_leaves_open() -> None:
    experiments = Experiments([BLEND])
    asked, arms = experiments.apply(RecommendRequest(someone_in("popular")))
    assert (asked.preset, arms) == ("popular", {"blend": "popular"})
    asked, arms = experiments.apply(RecommendRequest(someone_in("always")))
    assert (asked.preset, arms) == (None, {"blend": "always"})


@pytest.mark.parametrize("said", [{"preset": "popular"}, {"weights": {"ease": 1.0}}])
def test_a_request_that_decides_itself_takes_no_part(said: dict[str, object]) -> None:
    asked = RecommendRequest(someone_in("popular"), **said)  # type: ignore[arg-type]
    assert Experiments([BLEND]).apply(asked) == (asked, {})


def test_nobody_in_particular_takes_no_part() -> None:
    assert Experiments([BLEND]).apply(RecommendRequest()) == (RecommendRequest(), {})


def test_a_number_and_its_digits_are_one_person() -> None:
    experiments = Experiments([BLEND])
    assert experiments.apply(RecommendRequest(7))[1] == experiments.apply(RecommendRequest("7"))[1]


def test_without_embeddings_leaves_the_sources_that_are_no_neural_network() -> None:
    experiment = Experiment("neural", [Arm("with", 0.5), Arm("without", 0.5, use_embeddings=False)])
    asked, arms = Experiments([experiment], WEIGHTS).apply(RecommendRequest(someone_in("without", experiment)))
    assert (asked.weights, arms) == ({"ials": 1.0, "popularity": 0.1, "ease": 1.0}, {"neural": "without"})


# The file

TWO_ARMS = 'arms = [{name = "a", share = 0.5}, {name = "b", share = 0.5%s}]'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiments.toml"
    path.write_text(text)
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = written(tmp_path, '[[experiments]]\nname = "x"\n' + TWO_ARMS % ', preset = "popular"')
    arms = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "preset": "popular"}]
    (tmp_path / "experiments.json").write_text(json.dumps({"experiments": [{"name": "x", "arms": arms}]}))
    experiments = read_experiments(toml, ["popular"], ["dot"])
    assert experiments == read_experiments(tmp_path / "experiments.json", ["popular"], ["dot"])
    assert experiments == [Experiment("x", [Arm("a", 0.5), Arm("b", 0.5, preset="popular")])]


def test_no_file_is_no_experiment() -> None:
    assert read_experiments(None, [], []) == []


X, Y = (f'[[experiments]]\nname = "{name}"\n{TWO_ARMS}\n' for name in "xy")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[experiments]", "Expected"),
        ('[[experiments]]\nname = "x"\narms = []', "Expected array of length >= 2"),
        ('[[experiments]]\nname = "x y"\n' + TWO_ARMS % "", "regex"),
        (X % ", colour = 1", "unknown field colour"),
        (X.replace("0.5", "0.6") % "", "shares add up to 1.2"),
        (X.replace('"b"', '"a"') % "", "two arms have one name"),
        (X % ', preset = "loud"', "preset 'loud', expected one of calm, popular"),
        (X % ", weights = {fame = 1}", "unknown sources \\['fame'\\]"),
        (X % ', preset = "calm", use_embeddings = false', "preset and use_embeddings all set the weights"),
        (X % ', preset = "calm"' + X % "", "two experiments have this name"),
        (X % ', preset = "calm"' + Y % ", use_embeddings = false", "y: weights is what x changes already"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ExperimentsError, match=f"EXPERIMENTS: .*{why}"):
        read_experiments(written(tmp_path, text), ["calm", "popular"], ["dot"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentsError, match=r"nowhere.toml: No such file"):
        read_experiments(tmp_path / "nowhere.toml", [], [])


# Counting


class Shop:
    """The routes that serve, take events in, and show the experiment; everything else in memory."""

    def __init__(self, world: World, spool: Spool) -> None:
        experiments, ids = Experiments([BLEND]), RequestIds("id")
        self.lists = MemoryImpressionLog()
        self.impressions = Impressions(self.lists, experiments.counter_keys(), world.metrics, lambda: 1_000.0)
        feedback = Feedback(world.features, MemoryEventLog(), spool, followers=[self.impressions])
        owners = (
            RecommendRoutes(Recommendations(world.pipeline, world.release, ids, experiments, self.impressions)),
            EventRoutes(feedback, world.release, ids),
            ExperimentRoutes(experiments, self.lists),
        )
        router = Router([route for owner in owners for route in owner.routes()])
        transport = httpx.ASGITransport(Application(router, world.metrics, 10_000))  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url="http://m")

    async def serve(self, user_id: str) -> dict[str, object]:
        answer: dict[str, object] = (await self.client.post("/recommend", json={"user_id": user_id})).json()
        await self.impressions.close()
        return answer

    async def tell(self, person: str, answer: dict[str, object], **changes: object) -> None:
        films: list[dict[str, object]] = answer["recommendations"]  # type: ignore[assignment]
        event = {"user_id": person, "item_id": films[0]["movie_id"], "event_type": "click"}
        quoted = {"recommendation_id": answer["recommendation_id"]}
        assert (await self.client.post("/events", json=event | quoted | changes)).status_code == 202

    async def result(self) -> dict[str, dict[str, object]]:
        """Arm -> its counts."""
        body = (await self.client.get("/experiments/blend")).json()
        return {arm["name"]: arm for arm in body["arms"]}


@pytest.fixture
async def shop(world: World, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(world, Spool(tmp_path / "events.jsonl"))
    yield shop
    await shop.client.aclose()


async def test_the_arm_is_in_the_answer_and_shapes_it(shop: Shop) -> None:
    popular, always = await shop.serve(someone_in("popular")), await shop.serve(someone_in("always"))
    assert (popular["experiments"], always["experiments"]) == ({"blend": "popular"}, {"blend": "always"})


async def test_a_served_list_counts_and_a_click_on_it_once(shop: Shop) -> None:
    person = someone_in("popular")
    first, second = await shop.serve(person), await shop.serve(person)
    await shop.tell(person, first)
    await shop.tell(person, first, event_type="like")
    counted = (await shop.result())["popular"]
    assert (counted["people"], counted["lists"], counted["clicked_lists"], counted["ctr"]) == (1, 2, 1, 0.5)
    assert first["recommendation_id"] != second["recommendation_id"]
    assert [list_.recommendation_id for list_ in await shop.lists.recent(5)] == [
        second["recommendation_id"],
        first["recommendation_id"],
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"recommendation_id": "rec-made-up"},
        {"recommendation_id": None},
        {"user_id": "somebody else"},
        {"event_type": "dislike"},
        {"event_type": "rate", "value": 2.0},
    ],
)
async def test_what_is_no_choice_from_a_list_of_ones_own_does_not_count(shop: Shop, changes: dict[str, object]) -> None:
    person = someone_in("popular")
    await shop.tell(person, await shop.serve(person), **changes)
    assert (await shop.result())["popular"]["clicked_lists"] == 0


async def test_a_film_that_was_not_in_the_list_does_not_count(shop: Shop, world: World) -> None:
    person = someone_in("popular")
    answer = await shop.serve(person)
    shown = {film["movie_id"] for film in answer["recommendations"]}  # type: ignore[attr-defined]
    other = next(film.movie_id for film in world.release.catalog.films if film.movie_id not in shown)
    await shop.tell(person, answer, item_id=other)
    assert (await shop.result())["popular"]["clicked_lists"] == 0


async def test_an_event_that_is_sent_twice_counts_once(shop: Shop) -> None:
    person = someone_in("always")
    answers = [await shop.serve(person) for _ in range(2)]
    headers = {"Idempotency-Key": "one"}
    for answer in answers:
        event = {"user_id": person, "item_id": answer["recommendations"][0]["movie_id"], "event_type": "click"}  # type: ignore[index]
        quoted = {"recommendation_id": answer["recommendation_id"]}
        assert (await shop.client.post("/events", json=event | quoted, headers=headers)).status_code == 202
    assert (await shop.result())["always"]["clicked_lists"] == 1


async def test_the_result_tells_intervals_and_a_test(shop: Shop) -> None:
    for arm, clicks in (("always", 10), ("popular", 30)):
        person = someone_in(arm)
        for turn in range(40):
            answer = await shop.serve(person)
            if turn < clicks:
                await shop.tell(person, answer, event_type="click")
    body = (await shop.client.get("/experiments/blend")).json()
    # Wilson for 10 of 40: (0.25 + 3.8415/80 -+ 1.96 sqrt(.25 * .75/40 + 3.8415/6400)) / (1 + 3.8415/40).
    assert [body["arms"][0][field] for field in ("ctr_low", "ctr_high")] == pytest.approx([0.1419, 0.4019], abs=2e-4)
    # Pooled share 0.5: z = 0.5 / sqrt(0.25 * 2 / 40) = 4.472.
    (comparison,) = body["comparisons"]
    assert comparison["z"] == pytest.approx(4.4721, abs=1e-4)
    assert comparison["p_value"] == pytest.approx(7.7e-6, abs=5e-7)  # six decimals are shown
    assert (comparison["difference"], comparison["significant"], comparison["enough"]) == (0.5, True, True)


async def test_before_the_first_list_there_is_nothing_to_test(shop: Shop) -> None:
    body = (await shop.client.get("/experiments/blend")).json()
    assert [arm["ctr"] for arm in body["arms"]] == [None, None]
    assert (body["comparisons"][0]["p_value"], body["comparisons"][0]["significant"]) == (None, False)
    assert (await shop.client.get("/experiments")).json() == {"experiments": ["blend"]}


async def test_an_unknown_experiment_is_404(shop: Shop) -> None:
    response = await shop.client.get("/experiments/other")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_experiment")
    assert "expected one of blend" in response.json()["error"]["message"]


async def test_without_redis_lists_are_served_and_the_loss_is_counted(shop: Shop, world: World) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    shop.lists.note = shop.lists.show = shop.lists.counts = away  # type: ignore[method-assign,assignment]
    assert (await shop.serve("somebody"))["recommendations"]
    assert world.metric("recsys_impressions_total", result="lost") == 1
    response = await shop.client.get("/experiments/blend")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "not_available")
