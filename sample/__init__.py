"""The embedded sample: a first run needs no download, and tests know the right answer.

    films.csv   the catalogue, real films described in our own words
    tastes      what a latent taste is, and how well each film fits it
    people      simulated people, their tastes and their drift
    viewing     what they watch, one film after the other
    world       all of that from one seed: the events and the truth behind them
    posters     a poster for each film, drawn by a program
    folder      all of it as files in MovieLens' format

Its people are simulated, and every folder it writes says so.
"""

from sample.folder import FolderInUse, embedded_sample, write_sample
from sample.world import SimulatedWorld, simulate

__all__ = ["FolderInUse", "SimulatedWorld", "embedded_sample", "simulate", "write_sample"]
