// What is known of a film beyond its card, asked for once.

import { get } from "./api.js";

const asked = new Map();

/** The film with director, cast, country, overview and tags. A failure is not kept. */
export function filmFacts(movieId) {
  if (!asked.has(movieId)) {
    const answer = get(`/movie/${encodeURIComponent(movieId)}`);
    answer.catch(() => asked.delete(movieId));
    asked.set(movieId, answer);
  }
  return asked.get(movieId);
}
