"""What an open-loop run is told on the command line; a master passes it on to its workers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Protocol

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.util.timespan import parse_timespan

from loadtest.open_loop.arrivals import SHAPES, Phase, phases_of
from loadtest.open_loop.bounds import parse_bounds
from loadtest.open_loop.sessions import SessionMix
from loadtest.soak_mix import Call, Mix
from loadtest.workload import Workload


class CallSource(Protocol):
    """Draws calls without end."""

    def next_call(self) -> Call:
        """One more request."""


MIXES: dict[str, Callable[[Workload, int], CallSource]] = {"sessions": SessionMix, "soak": Mix}
"""What can be asked: made from the films and people there are, and a seed."""


def positive(text: str) -> float:
    """A number above zero, for argparse."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return number


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """What an open-loop run wants to know."""
    options: dict[str, dict[str, Any]] = {
        "--rate": {"type": positive, "default": 50.0, "help": "requests/s that start, of all workers together"},
        "--shape": {"choices": SHAPES, "default": "constant", "help": "how the rate changes during the run"},
        "--duration": {"type": parse_timespan, "default": 30, "help": "how long requests start: 30s, 10m, 1h"},
        "--peak": {"type": positive, "default": 3.0, "help": "rate of a spike, as a multiple of --rate"},
        "--mix": {"choices": list(MIXES), "default": "sessions", "help": "what is asked"},
        "--people": {"type": int, "default": 200, "help": "people 1 to this come back"},
        "--seed": {"type": int, "default": 7, "help": "the same seed asks the same"},
        "--answer-timeout": {"type": positive, "default": 30.0, "help": "seconds without data until a request failed"},
        "--under-way": {"type": int, "default": 1_000, "help": "requests of one worker that may wait for an answer"},
        "--bounds": {"default": "", "help": "what the run must keep: p99_ms<=250,failed_ratio<=0.01"},
        "--report": {"default": "reports/open-loop", "help": "folder of the CSV files, the plots and the page"},
    }
    for name, settings in options.items():
        parser.add_argument(name, include_in_web_ui=False, **settings)


def options_of(environment: Environment) -> argparse.Namespace:
    """The parsed command line."""
    options = environment.parsed_options
    assert isinstance(options, argparse.Namespace)
    return options


def phases_for(environment: Environment) -> tuple[Phase, ...]:
    """The phases that the command line asks for."""
    options = options_of(environment)
    return phases_of(options.shape, options.rate, options.duration, options.peak)


@events.init.add_listener
def check_options(environment: Environment, **_: Any) -> None:
    """Stop before the first request where shape, rate, duration and bounds do not fit together."""
    try:
        parse_bounds(options_of(environment).bounds, tuple(phase.name for phase in phases_for(environment)))
    except ValueError as error:
        raise SystemExit(f"open-loop load: {error}") from error
