// The poster wall: an ordered list whose films keep their cards from one answer to the next, and are seen to move.

import { Card } from "./card.js";
import { byId } from "./element.js";
import { leave, placesOf, travel } from "./flip.js";

const ORDERS = {
  match: (a, b) => a.rank - b.rank,
  newest: (a, b) => (b.film.year ?? 0) - (a.film.year ?? 0) || a.rank - b.rank,
  oldest: (a, b) => (a.film.year ?? 9999) - (b.film.year ?? 9999) || a.rank - b.rank,
  title: (a, b) => a.film.title.localeCompare(b.film.title, "en") || a.rank - b.rank,
};

/**
 * @typedef {{entered: object[], left: object[], moved: number, first: object | undefined}} Change
 * What a new list changed.
 */

export class Wall {
  #list = byId("wall");
  #cards = new Map();
  #films = [];
  #actions;

  /** @param {import("./card.js").Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#list.addEventListener("keydown", (event) => this.#walk(event));
  }

  set isBusy(busy) {
    this.#list.setAttribute("aria-busy", String(busy));
  }

  get films() {
    return this.#films;
  }

  /**
   * Shows a new list. `continues`: it is the same person's, so changes are marked. `flyTo`: where the film `flown` goes.
   * @returns {Change}
   */
  show(films, { sort, continues = false, flown = null, flyTo = null }) {
    const ranks = new Map(this.#films.map((film, index) => [film.movie_id, index]));
    const kept = new Set(films.map((film) => film.movie_id));
    const change = {
      entered: films.filter((film) => !ranks.has(film.movie_id)),
      left: this.#films.filter((film) => !kept.has(film.movie_id)),
      moved: films.filter((film, index) => ranks.has(film.movie_id) && ranks.get(film.movie_id) !== index).length,
      first: films[0],
    };
    const oldPlaces = placesOf(this.#list.children);
    const focus = this.#focusedPosition();
    this.#removeCards(change.left, oldPlaces, flown, flyTo);
    for (const [index, film] of films.entries()) {
      const card = this.#cards.get(film.movie_id) ?? new Card(film, this.#actions);
      this.#cards.set(film.movie_id, card);
      const before = ranks.get(film.movie_id);
      const places = before === undefined ? "new" : before - index;
      card.show(film, { rank: index + 1, change: continues ? places : null, isFeature: index === 0 && sort === "match" });
    }
    this.#films = films;
    this.#place(sort, oldPlaces, focus);
    return change;
  }

  /** No films. */
  clear() {
    this.#cards.clear();
    this.#films = [];
    this.#list.replaceChildren();
  }

  /** The same films in another order. */
  reorder(sort) {
    this.show(this.#films, { sort });
  }

  #place(sort, oldPlaces, focus) {
    const ranked = this.#films.map((film, rank) => ({ film, rank }));
    const elements = ranked.sort(ORDERS[sort]).map(({ film }) => this.#cards.get(film.movie_id).element);
    const focused = document.activeElement;
    this.#list.replaceChildren(...elements);
    if (this.#list.contains(focused)) focused.focus({ preventScroll: true }); // moving an element takes its focus
    else if (focus !== null) elements[Math.min(focus, elements.length - 1)]?.querySelector(".poster-button").focus();
    travel(elements, oldPlaces);
  }

  #removeCards(films, oldPlaces, flown, flyTo) {
    for (const film of films) {
      const { element } = this.#cards.get(film.movie_id);
      leave(element, oldPlaces.get(element), film.movie_id === flown ? flyTo : null);
      this.#cards.delete(film.movie_id);
    }
  }

  /** Position of the card that holds the focus, so that the next one can take it when that card leaves. */
  #focusedPosition() {
    const position = [...this.#list.children].findIndex((element) => element.contains(document.activeElement));
    return position < 0 ? null : position;
  }

  /** Arrow keys go from poster to poster, as the eye does. */
  #walk(event) {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!step || !event.target.classList.contains("poster-button")) return;
    event.preventDefault();
    const buttons = [...this.#list.querySelectorAll(".poster-button")];
    const here = buttons.indexOf(event.target);
    const next = step[0] ? buttons[here + step[0]] : nearestRow(buttons, event.target, step[1]);
    next?.focus();
  }
}

/** The poster of the next row up or down that stands nearest. */
function nearestRow(buttons, from, direction) {
  const here = from.getBoundingClientRect();
  const centre = (place) => place.left + place.width / 2;
  let best = null;
  for (const button of buttons) {
    const place = button.getBoundingClientRect();
    const dy = (place.top - here.top) * direction;
    if (dy <= here.height / 2) continue;
    const dx = Math.abs(centre(place) - centre(here));
    if (!best || dy < best.dy - 4 || (dy < best.dy + 4 && dx < best.dx)) best = { button, dy, dx };
  }
  return best?.button;
}
