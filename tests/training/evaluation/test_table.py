"""What counts as reached on ml-latest-small."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from training.evaluation.table import evaluation_table, shortfalls


def figures(ndcg: float, hit_rate: float = 0.5, coverage: float = 0.2) -> dict[str, dict[str, float]]:
    """All that the table shows of one row."""
    means = {"ndcg": ndcg, "hit_rate": hit_rate, "coverage": coverage, "recall": 0.1, "mrr": 0.1, "novelty": 10.0}
    return {f"{name}@10": {"mean": mean, "se": 0.0 if name == "coverage" else 0.01} for name, mean in means.items()}


def reached() -> dict[str, Any]:
    """A report of `last5` that misses nothing."""
    return {
        "protocol": "last5",
        "people": 610,
        "sources": {
            "popularity": figures(0.033, 0.14),
            "ease": figures(0.092),
            "ials": figures(0.073),
            "two_tower": figures(0.090, 0.37),
            "sequence": figures(0.083, 0.33),
            "hybrid": figures(0.106, 0.40),
            "hybrid without ease": figures(0.100),
        },
        "best_part": "ease",
        "lead_ndcg@10": {"mean": 0.014, "low": 0.004, "high": 0.024},
    }


def test_nothing_is_missed_when_every_figure_is_reached() -> None:
    assert shortfalls(reached()) == []


def test_dot_and_mlp_stand_side_by_side_with_what_the_reranker_gains() -> None:
    report = reached() | {"leads_over_dot_ndcg@10": {"hybrid by mlp": {"mean": 0.002, "low": -0.001, "high": 0.005}}}
    report["sources"]["hybrid by mlp"] = figures(0.108)
    console = Console(width=300, record=True)

    console.print(evaluation_table("ml-latest-small", report, beside_demanded=True))

    printed = " ".join(console.export_text().split())
    assert "hybrid by mlp 0.1080" in printed.replace("│", "").replace("  ", " ")
    assert "hybrid by mlp over the dot product: +0.0020 (95 % from -0.0010 to +0.0050)" in printed


def test_a_figure_too_low_is_named_with_its_limits() -> None:
    report = reached()
    report["sources"]["ials"] = figures(0.05)

    assert shortfalls(report) == ["last5: ials ndcg@10 is 0.0500, not 0.068 to 0.130"]


def test_a_hybrid_too_good_to_be_true_is_missed_as_well() -> None:
    report = reached()
    report["sources"] |= {"hybrid": figures(0.14), "hybrid without ease": figures(0.13)}

    assert shortfalls(report) == ["last5: hybrid ndcg@10 is 0.1400, not 0.102 to 0.130"]


def test_a_part_without_which_too_little_is_left_is_missed() -> None:
    report = reached()
    report["sources"]["hybrid without ease"] = figures(0.08)

    assert shortfalls(report) == ["last5: hybrid without ease keeps 75% of the hybrid, not 85%"]


def test_a_lead_that_may_be_chance_is_missed() -> None:
    report = reached()
    report["lead_ndcg@10"]["low"] = -0.001

    assert shortfalls(report) == ["last5: the hybrid's lead over ease does not exclude 0"]


def test_newuser_asks_for_the_hybrid_alone() -> None:
    report = reached() | {"protocol": "newuser"}
    report["sources"] |= {"hybrid": figures(0.07), "ials": figures(0.01)}

    assert shortfalls(report) == ["newuser: hybrid ndcg@10 is 0.0700, not 0.083 to 0.130"]


def test_the_table_shows_figures_beside_those_demanded() -> None:
    console = Console(width=200)

    with console.capture() as shown:
        console.print(evaluation_table("ml-latest-small", reached(), beside_demanded=True))

    assert "0.1060 ±0.0100 (0.102-0.13)" in shown.get()
    assert "+0.0140 (95 % from +0.0040 to +0.0240)" in shown.get()


def test_a_split_that_leaks_the_future_says_so() -> None:
    console = Console(width=200)

    with console.capture() as shown:
        for protocol in ("last1", "random"):
            console.print(evaluation_table("ml-latest-small", reached() | {"protocol": protocol}, False))

    assert "ml-latest-small: last1, 610 people" in shown.get()
    assert "random, LEAKS THE FUTURE: to be compared with published tables alone" in shown.get()
