"""The hybrid recommender: one person's history in, titles and scores out.

Read `pipeline` first: it is the spine, one line per stage.
"""
