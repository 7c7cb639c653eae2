// The sign over the entrance: whose programme is showing. Its bulbs run for a moment when that changes.

import { byId } from "./element.js";
import { listed } from "./words.js";

const CHASE_MS = 2_600;
let resting = 0;

/** Puts a person's name and favourite genres on the board. */
export function showOnSign(session, genres) {
  byId("board-name").textContent = session.personName;
  byId("board-genres").textContent = genres.length ? `who likes ${listed(genres).toLowerCase()}` : session.isOwn ? "and the films you love" : "\u00a0";
  document.title = `Marquee: films for ${session.isOwn ? "you" : session.personName.toLowerCase()}`;
  chase();
}

/** Lets the bulbs run, briefly: lights that never rest tire the eye. */
export function chase() {
  const frame = byId("board-frame");
  frame.classList.add("is-chasing");
  clearTimeout(resting);
  resting = setTimeout(() => frame.classList.remove("is-chasing"), CHASE_MS);
}
