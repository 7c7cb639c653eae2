// Who is watching: tickets with people of the data to try, any id by hand, or a taste of one's own.

import { get } from "./api.js";
import { showError } from "./announce.js";
import { byId, fill, h } from "./element.js";
import { icon } from "./icons.js";
import { onlyPerson } from "./signed_in.js";
import { count } from "./words.js";

const TICKETS = 10;

export class Audience {
  #session;
  #people = 0;

  constructor(session) {
    this.#session = session;
    byId("pick-surprise-icon").append(icon("dice"));
    byId("audience-known").addEventListener("click", () => this.#returnToPeople());
    byId("audience-own").addEventListener("click", () => session.watchOwn());
    byId("pick-form").addEventListener("submit", (event) => this.#pick(event));
    byId("pick-surprise").addEventListener("click", () => this.#surprise().catch(showError));
    session.addEventListener("person", () => this.#showChoice());
  }

  /** Reads some people and prints their tickets. Returns the first one's id, or null when nobody is known. */
  async open(data) {
    const note = byId("simulated");
    note.hidden = !data.simulated;
    note.textContent = `The ${count(data.people, "person is", "people are")} simulated: a program created their tastes and watch histories.`;
    if (onlyPerson() !== null) return null;
    try {
      const { people, total } = await get("/people", { limit: TICKETS });
      this.#people = total;
      this.#print(people);
      return people[0]?.user_id ?? null;
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      return null; // no tickets; ids can still be typed
    }
  }

  #print(people) {
    fill(
      byId("tickets"),
      people.map((person) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "ticket", "data-user-id": person.user_id, "aria-pressed": "false", on: { click: () => this.#session.watch(person.user_id) } },
            h("span", { class: "ticket-name" }, h("span", { class: "ticket-word" }, "Person "), person.user_id),
            h("span", { class: "ticket-genres" }, person.genres.join(", ") || "no favourites yet"),
            h("span", { class: "ticket-count" }, count(person.total_ratings, "film")),
          ),
        ),
      ),
    );
    this.#showChoice();
  }

  async #surprise() {
    const offset = Math.floor(Math.random() * this.#people);
    const { people } = await get("/people", { limit: 1, offset });
    if (people.length) this.#session.watch(people[0].user_id);
  }

  #pick(event) {
    event.preventDefault();
    const userId = byId("pick-input").value.trim();
    if (userId) this.#session.watch(userId);
  }

  #returnToPeople() {
    if (!this.#session.isOwn) return;
    this.#session.watch(this.lastKnown ?? "1");
  }

  #showChoice() {
    const { userId, isOwn } = this.#session;
    if (!isOwn && userId !== null) this.lastKnown = userId;
    byId("audience-known").setAttribute("aria-pressed", String(!isOwn));
    byId("audience-own").setAttribute("aria-pressed", String(isOwn));
    byId("known-panel").hidden = isOwn;
    byId("own-panel").hidden = !isOwn;
    for (const ticket of byId("tickets").querySelectorAll(".ticket")) {
      ticket.setAttribute("aria-pressed", String(!isOwn && ticket.dataset.userId === userId));
    }
    byId("pick-input").value = isOwn ? "" : userId;
  }
}
