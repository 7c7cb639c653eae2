// One film at length: its story, why it was picked, stars, and films like it.

import { showError } from "./announce.js";
import { post } from "./api.js";
import { creditsOf } from "./card.js";
import { contributionBars, reasonsInWords } from "./contributions.js";
import { byId, fill, h } from "./element.js";
import { filmFacts } from "./film_facts.js";
import { icon } from "./icons.js";
import { poster } from "./poster.js";
import { shelved } from "./search.js";
import { starRating } from "./stars.js";
import { titled } from "./words.js";

const SIMILAR = 12;
const LIKENESS = { blend: "in every way", text: "in story", poster: "in looks", collaborative: "in audience" };

export class FilmDialog {
  #dialog = byId("film-dialog");
  #visited = [];
  #likeness = "blend";
  #feedback = null;

  constructor() {
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#closed());
  }

  /** Where stars go; the feedback in its turn needs lists that open this dialog. */
  set feedback(feedback) {
    this.#feedback = feedback;
  }

  /** Shows a film; its `reasons` are shown when it has some. */
  open(film) {
    this.#visited.push(film);
    this.#show(film);
    if (film.rating === undefined) this.#feedback.looked(film); // of films seen already it tells nothing
    if (!this.#dialog.open) this.#dialog.showModal();
    byId("film-title").focus({ preventScroll: true });
    this.#dialog.scrollTop = 0;
  }

  #closed() {
    this.#visited = [];
    this.#feedback.showEffect().catch(showError);
  }

  #show(film) {
    const facts = h("div", { class: "film-facts" });
    const similar = h("section", { class: "film-similar", "aria-labelledby": "similar-heading", "data-needs": "/similar" });
    fill(
      this.#dialog,
      h("div", { class: "film-bar" }, this.#backButton(), h("button", { type: "button", class: "film-close", "aria-label": "Close", on: { click: () => this.#dialog.close() } }, icon("cross"))),
      h(
        "div",
        { class: "film-sheet" },
        h("div", { class: "film-poster" }, poster(film)),
        h(
          "div",
          { class: "film-text" },
          h("h2", { id: "film-title", tabindex: "-1" }, film.title),
          h("p", { class: "film-line" }, [film.year, film.genres.join(", ")].filter(Boolean).join(" · ")),
          facts,
          h("div", { class: "film-rate", "data-needs": "/events" }, h("span", { "aria-hidden": "true" }, "Your stars"), starRating(film, { value: film.rating ?? 0, onRate: (stars) => this.#rate(film, stars) })),
          this.#reasons(film),
        ),
      ),
      similar,
    );
    this.#fillFacts(film, facts);
    this.#fillSimilar(film, similar);
  }

  #backButton() {
    if (this.#visited.length < 2) return null;
    const previous = this.#visited.at(-2);
    const back = () => {
      this.#visited.splice(-2);
      this.open(previous);
    };
    return h("button", { type: "button", class: "film-back", on: { click: back } }, icon("back"), `Back to ${previous.title}`);
  }

  #reasons({ reasons }) {
    if (!reasons) return null;
    return h("section", { class: "film-why" }, h("h3", {}, "Why this film?"), h("p", {}, reasonsInWords(reasons)), contributionBars(reasons.contributions));
  }

  async #rate(film, stars) {
    const taken = await this.#feedback.rate(film, stars);
    if (taken) film.rating = stars;
  }

  async #fillFacts(film, place) {
    try {
      const facts = await filmFacts(film.movie_id);
      const tags = (facts.tags ?? []).slice(0, 8);
      fill(
        place,
        h("p", { class: "credits" }, [creditsOf(facts), facts.country].filter(Boolean).join(" · ")),
        h("p", { class: "overview" }, facts.overview),
        tags.length > 0 && h("ul", { class: "tags", role: "list", "aria-label": "Tags by people" }, tags.map((tag) => h("li", {}, tag))),
      );
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      fill(place, h("p", { class: "hint" }, error.message));
    }
  }

  #fillSimilar(film, place) {
    const films = h("ul", { class: "shelf", role: "list" });
    const choices = Object.entries(LIKENESS).map(([by, words]) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name: "likeness", value: by, class: "visually-hidden", checked: by === this.#likeness, on: { change: () => this.#ask(film, by, films) } }),
        h("span", {}, words),
      ),
    );
    fill(place, h("div", { class: "section-head" }, h("h3", { id: "similar-heading" }, "Films like it"), h("fieldset", { class: "segmented" }, h("legend", { class: "visually-hidden" }, "Similar by"), choices)), films);
    this.#ask(film, this.#likeness, films);
  }

  async #ask(film, by, place) {
    this.#likeness = by;
    place.setAttribute("aria-busy", "true");
    try {
      const { similar } = await post("/similar", { movie_id: film.movie_id, top_k: SIMILAR, by });
      const films = await Promise.all(similar.map((other) => filmFacts(other.movie_id)));
      if (by !== this.#likeness || !place.isConnected) return;
      fill(place, films.map((other, index) => shelved(other, () => this.open(other), alikeness(similar[index].similarity))));
      place.setAttribute("aria-label", `Films like ${titled(film)}`);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      fill(place, h("li", { class: "hint" }, error.message));
    } finally {
      place.setAttribute("aria-busy", "false");
    }
  }
}

/** Similarity 0 is as alike as any two films; below it there is nothing to boast of. */
const alikeness = (similarity) => `${Math.round(Math.max(similarity, 0) * 100)} % alike`;
