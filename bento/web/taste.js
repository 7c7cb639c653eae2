// The cold-start picker: click the films you love, and the programme follows every click.

import { post } from "./api.js";
import { showError } from "./announce.js";
import { byId, fill, h } from "./element.js";
import { poster } from "./poster.js";
import { count, titled } from "./words.js";

const SHOWN = 18;
const POOL = 144;
/* Popular films that the picker leafs through. */

export class TastePicker {
  #session;
  #feedback;
  #pool = [];
  #page = 0;
  #films = byId("taste-films");

  constructor(session, feedback) {
    this.#session = session;
    this.#feedback = feedback;
    byId("taste-more").addEventListener("click", () => this.#turn());
  }

  /** Shows films to choose from; `seen` are the person's own so far. */
  async open(seen) {
    this.tellHint(seen.length);
    try {
      // Nobody in particular gets popular films of every kind: just what somebody new should choose from.
      const { recommendations } = await post("/recommend", { top_k: POOL });
      const known = new Set(seen.map((film) => film.movie_id));
      this.#pool = recommendations.filter((film) => !known.has(film.movie_id));
      this.#page = 0;
      this.#show();
    } catch (error) {
      showError(error);
    }
  }

  /** How far the taste has come, in words. */
  tellHint(n) {
    byId("taste-hint").textContent =
      n === 0
        ? "Click films you love. The programme below follows every click."
        : `${count(n, "film")} so far. ${n < 5 ? "A few more, and the picture gets clear." : "Keep going, or rate what the programme offers."}`;
  }

  #turn() {
    this.#page = (this.#page + 1) * SHOWN < this.#pool.length ? this.#page + 1 : 0;
    this.#show();
  }

  #show() {
    const films = this.#pool.slice(this.#page * SHOWN, (this.#page + 1) * SHOWN);
    fill(this.#films, films.map((film) => this.#choice(film)));
  }

  #choice(film) {
    const button = h(
      "button",
      { type: "button", class: "taste-film", "aria-pressed": "false", title: titled(film), on: { click: () => this.#choose(film, button) } },
      poster(film),
      h("span", { class: "taste-title" }, titled(film)),
    );
    return h("li", { "data-movie-id": film.movie_id }, button);
  }

  async #choose(film, button) {
    if (button.getAttribute("aria-pressed") === "true") return;
    button.setAttribute("aria-pressed", "true");
    const taken = await this.#feedback.like(film);
    if (!taken) button.setAttribute("aria-pressed", "false");
  }
}
