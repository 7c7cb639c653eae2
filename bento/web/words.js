// The service's technical names in words people understand.

/** The sources of the hybrid, in the order in which their bars stand. */
export const SOURCES = {
  sequence: { label: "Next to watch", why: "a transformer that reads your films in the order you watched them" },
  two_tower: { label: "Similar viewers", why: "two towers that place people and films in one space" },
  ials: { label: "Shared tastes", why: "matrix factorisation over everybody's ratings" },
  ease: { label: "Seen together", why: "item-to-item weights between films" },
  text: { label: "The story", why: "the film's text, encoded by a language model" },
  poster: { label: "The poster", why: "the film's poster, encoded by an image model" },
  popularity: { label: "Popularity", why: "how many people watch it" },
};

const STAGES = {
  state: "Read your history",
  encode: "Encode history",
  retrieve: "Search films",
  rescore: "Re-rank",
  fallback: "Fallback",
  blend: "Order and filter",
  explain: "Explain",
  answer: "Write answer",
  rest: "Waiting",
};

const STRATEGIES = {
  hybrid: "All sources together",
  cold_start: "Popular films of many genres (no history yet)",
  item_to_item: "Films often seen together",
  content: "Films that tell similar stories",
  genre_popularity: "Popular films of favourite genres",
  popularity: "Popular films",
};

const PARTS = {
  feature_store: "the store of events",
  response_cache: "the cache of finished answers",
  retrieval: "the film index",
  explain: "the explanations",
  wording: "the language model",
  mlp_scorer: "the re-ranker",
};

/** What adds to a score beside the sources. */
const SCORERS = { mlp: "Re-ranker" };

export const sourceLabel = (name) => SOURCES[name]?.label ?? SCORERS[name] ?? plain(name);
export const stageLabel = (name) => STAGES[name] ?? plain(name);
export const strategyLabel = (name) => STRATEGIES[name] ?? plain(name);
export const partLabel = (name) => PARTS[name] ?? (SOURCES[name] ? `“${SOURCES[name].label}”` : plain(name));

/** "1 film", "12 films". */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Names in a row: "a", "a and b", "a, b and c". */
export const listed = (names) => new Intl.ListFormat("en-GB", { type: "conjunction" }).format(names);

/** "Alien (1979)"; films without a year stand alone. */
export const titled = (film) => (film.year ? `${film.title} (${film.year})` : film.title);

/** Milliseconds with as many digits as mean something. */
export const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** Stars with halves: "4½". */
export const stars = (value) => `${Math.floor(value) || (value % 1 ? "" : "0")}${value % 1 ? "½" : ""}`;

function plain(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
