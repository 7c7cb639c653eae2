"""The hybrid recommender: one person's history in, titles and scores out.

A request passes, in this order:

- `over_http`: bytes become a validated request;
- `recommendations`: the one implementation behind every route that recommends; experiments and impressions join here;
- `pipeline`: the spine, one line per stage, over `answer_cache` and `single_flight`; read it first;
- `people`: what is known of whoever asks;
- `ranking`: candidates, their order and the reasons;
- `catalogue`: the films themselves.

`monitoring` watches; `batch` and `precompute` walk many people through the same pipeline.
"""
