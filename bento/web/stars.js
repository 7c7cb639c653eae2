// Five stars that are five radio buttons: arrows and clicks both work.

import { h } from "./element.js";
import { icon } from "./icons.js";
import { count, titled } from "./words.js";

const KEYBOARD_PAUSE_MS = 700;
/* Arrow keys pass over stars on the way to the one that is meant; only where they rest counts. */

/** A rating control. `onRate(stars)` is called once per decision; `value` fills the stars given before. */
export function starRating(film, { onRate, value = 0 }) {
  const group = `stars-${film.movie_id}-${Math.random().toString(36).slice(2, 8)}`;
  let byKeyboard = false;
  let waiting = 0;
  const decide = (stars) => {
    clearTimeout(waiting);
    if (byKeyboard) waiting = setTimeout(() => onRate(stars), KEYBOARD_PAUSE_MS);
    else onRate(stars);
  };
  const options = [1, 2, 3, 4, 5].map((stars) =>
    h(
      "label",
      { title: count(stars, "star") },
      h("input", {
        type: "radio",
        class: "visually-hidden",
        name: group,
        value: stars,
        checked: Math.round(value) === stars,
        "aria-label": count(stars, "star"),
        on: { change: () => decide(stars) },
      }),
      icon("star"),
    ),
  );
  return h(
    "fieldset",
    {
      class: "stars",
      "data-needs": "/events",
      on: {
        keydown: () => (byKeyboard = true),
        pointerdown: () => (byKeyboard = false),
      },
    },
    h("legend", { class: "visually-hidden" }, `Rate ${titled(film)}`),
    options,
  );
}
