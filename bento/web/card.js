// One film of the programme: poster, stars, "why this?", "not for me". The first one is the feature, told at length.

import { contributionBars, reasonsInWords } from "./contributions.js";
import { fill, h } from "./element.js";
import { filmFacts } from "./film_facts.js";
import { icon } from "./icons.js";
import { poster } from "./poster.js";
import { starRating } from "./stars.js";
import { listed } from "./words.js";

/**
 * @typedef {{open: (film: object) => void, rate: (film: object, stars: number) => void, dismiss: (film: object) => void}} Actions
 */

export class Card {
  #film;
  #rank = h("span", { class: "rank" });
  #moved = h("span", { class: "moved" });
  #reasons = h("div", { class: "reasons", role: "group", tabindex: "0", hidden: true }); // it may scroll: keys reach it
  #story = h("div", { class: "story" });
  #why;

  /** @param {Actions} actions */
  constructor(film, actions) {
    this.#film = film;
    this.#reasons.id = `why-${encodeURIComponent(film.movie_id)}`;
    this.#reasons.setAttribute("aria-label", `Why ${film.title}`);
    this.#why = h(
      "button",
      { type: "button", class: "why", "aria-expanded": "false", "aria-controls": this.#reasons.id, on: { click: () => this.#toggleWhy() } },
      "Why?",
      h("span", { class: "visually-hidden" }, ` ${film.title}`),
    );
    this.element = h(
      "li",
      { class: "card", "data-movie-id": film.movie_id, on: { keydown: (event) => this.#closeOnEscape(event) } },
      h(
        "div",
        { class: "card-picture" },
        h(
          "button",
          { type: "button", class: "poster-button", "aria-label": `${[film.title, film.year].filter(Boolean).join(" ")}: open`, on: { click: () => actions.open(this.#film) } },
          poster(film),
        ),
        this.#rank,
        this.#moved,
        h(
          "button",
          { type: "button", class: "dismiss", "data-needs": "/events", title: "Not for me", "aria-label": `Not for me: ${film.title}`, on: { click: () => actions.dismiss(this.#film) } },
          icon("cross"),
        ),
        this.#reasons,
      ),
      h(
        "div",
        { class: "card-caption" },
        h("h3", { class: "card-title" }, film.title),
        h("p", { class: "card-facts" }, [film.year, film.genres.slice(0, 3).join(", ")].filter(Boolean).join(" · ")),
        this.#story,
        h("div", { class: "card-tools" }, starRating(film, { onRate: (stars) => actions.rate(this.#film, stars) }), this.#why),
      ),
    );
  }

  get button() {
    return this.element.querySelector(".poster-button");
  }

  /** Takes over what a new answer says of the same film. `change`: places moved up (negative: down), "new", or null. */
  show(film, { rank, change, isFeature }) {
    this.#film = film;
    this.#rank.textContent = rank;
    this.#why.hidden = !film.reasons;
    this.#showChange(change);
    if (!this.#reasons.hidden) this.#fillReasons();
    this.element.classList.toggle("feature", isFeature);
    fill(this.#story);
    if (isFeature) this.#tellStory(film);
  }

  #showChange(change) {
    this.element.classList.toggle("has-moved", Boolean(change));
    if (!change) return fill(this.#moved);
    const isNew = change === "new";
    const places = Math.abs(change);
    const words = isNew ? "new in the list" : `${change > 0 ? "up" : "down"} ${places}`;
    this.#moved.dataset.direction = isNew ? "new" : change > 0 ? "up" : "down";
    return fill(
      this.#moved,
      h("span", { "aria-hidden": "true" }, isNew ? "New" : `${change > 0 ? "▲" : "▼"} ${places}`),
      h("span", { class: "visually-hidden" }, words),
    );
  }

  #toggleWhy() {
    const opens = this.#reasons.hidden;
    if (opens) this.#fillReasons();
    this.#reasons.hidden = !opens;
    this.#why.setAttribute("aria-expanded", String(opens));
  }

  #closeOnEscape(event) {
    if (event.key !== "Escape" || this.#reasons.hidden) return;
    this.#toggleWhy();
    this.#why.focus();
  }

  #fillReasons() {
    const { reasons } = this.#film;
    fill(this.#reasons, scoreOf(this.#film), contributionBars(reasons.contributions), h("p", { class: "reasons-words" }, reasonsInWords(reasons)));
  }

  async #tellStory(film) {
    const words = reasonsInWords(film.reasons);
    const why = film.reasons
      ? h("div", { class: "feature-why" }, h("h4", {}, "Why this?", scoreOf(film)), words && h("p", {}, words), contributionBars(film.reasons.contributions))
      : null;
    const overview = h("p", { class: "overview" });
    const credits = h("p", { class: "credits" });
    fill(this.#story, credits, overview, why);
    try {
      const facts = await filmFacts(film.movie_id);
      overview.textContent = facts.overview ?? "";
      credits.textContent = creditsOf(facts);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      overview.remove(); // the feature stands without its story; whoever opens the film reads why
    }
  }
}

/** "score 2.68": what the bars add up to. */
const scoreOf = (film) => h("span", { class: "score" }, `score ${film.score.toFixed(2)}`);

/** "Directed by Ridley Scott, with Sigourney Weaver and Tom Skerritt"; as much of it as is known. */
export function creditsOf({ director, cast = [] }) {
  const parts = [director && `Directed by ${director}`, cast.length && `with ${listed(cast.slice(0, 4))}`];
  const line = parts.filter(Boolean).join(", ");
  return line && line[0].toUpperCase() + line.slice(1);
}
