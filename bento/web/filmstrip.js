// The strip of films that somebody saw lately, newest first, with the stars they gave.

import { get } from "./api.js";
import { byId, fill, h } from "./element.js";
import { poster } from "./poster.js";
import { stars, titled } from "./words.js";

const SHOWN = 30;

export class Filmstrip {
  #session;
  #strip = byId("filmstrip");
  #frames = byId("filmstrip-frames");
  #open;
  /** Called with the person, or null, whenever it was read. */
  onPerson = () => {};

  /** `open` is called with the film whose frame is clicked. */
  constructor(session, open) {
    this.#session = session;
    this.#open = open;
  }

  /** Reads what the person has seen. Without such a route, or without films, there is no strip. */
  async refresh() {
    const { userId } = this.#session;
    let person;
    try {
      person = await get(`/people/${encodeURIComponent(userId)}`, { limit: SHOWN });
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      this.#strip.hidden = true; // the strip is an extra: the programme says what is wrong with the server
      person = null;
    }
    if (userId !== this.#session.userId) return null; // somebody else sat down meanwhile
    if (person) this.#show(person);
    this.onPerson(person);
    return person;
  }

  #show(person) {
    this.#strip.hidden = person.history.length === 0;
    const whose = this.#session.isOwn ? "Your films" : "Seen lately";
    byId("filmstrip-heading").textContent = `${whose} (${person.total_ratings.toLocaleString("en")})`;
    fill(this.#frames, person.history.map((film) => this.#frame(film)));
    this.#frames.scrollLeft = 0;
  }

  #frame(film) {
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "frame", title: titled(film), on: { click: () => this.#open(film) } },
        poster(film),
        h("span", { class: "visually-hidden" }, `${titled(film)}, `),
        h("span", { class: film.rating ? "frame-stars" : "frame-stars is-unrated" }, film.rating ? stars(film.rating) : "seen"),
      ),
    );
  }
}
