"""From a finished training to a release in the model repository.

Imports point down: `__main__` > commands > evaluation > release > graphs, index > python_models, and below them the
modules beside this file: errors, durable files, example inputs, layout of the repository.
"""
