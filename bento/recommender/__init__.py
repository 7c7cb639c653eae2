"""The hybrid recommender: one person's history in, titles and scores out.

Each line may import the lines below it, never those above:

- `over_http`: the routes; bytes become a validated request, an answer becomes bytes;
- `monitoring`: the health report behind `/monitor`;
- `precompute`, `batch`: recommendations for many people through the same pipeline;
- `recommendations`: the one implementation behind every route that recommends; experiments and impressions join here;
- `experiments`: which variant of an experiment a person gets;
- `pipeline`: the stages of one recommendation, one line each, over `answer_cache` and `single_flight`; read it first;
- `ranking`: from scored candidates to an ordered, explained list;
- `retrieval`: from a history to scored candidates;
- `questions`: a request with rows of the catalogue instead of movie_ids;
- `people`: histories, events and impressions of people;
- `catalogue`: the films, and searching them;
- `telemetry`, `inference`: what is measured, and the inference server's interface;
- `schemas`, `errors`: requests and answers on the wire.
"""
