// The filters, as a form on the page and as fields of a request.

import { byId, fill, h } from "./element.js";

const PAUSE_MS = 350;
const TURN = { "": "wanted", wanted: "unwanted", unwanted: "" };
const SAID = { "": "no matter", wanted: "wanted", unwanted: "left out" };

export class Filters {
  #session;
  #form = byId("filters");
  #chips = byId("filter-genres");
  #toggle = byId("filters-toggle");
  #waiting = 0;

  /** config: what `/config` says of the catalogue. */
  constructor(session, { genres = [], year_range: years = ["", ""] }) {
    this.#session = session;
    [this.#form.elements.min_year.placeholder, this.#form.elements.max_year.placeholder] = years;
    fill(this.#chips, genres.map((genre) => this.#chip(genre)));
    this.#toggle.addEventListener("click", () => this.#fold());
    this.#form.addEventListener("input", () => this.#changed());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("reset", () => this.#clear());
  }

  #chip(genre) {
    const chip = h("button", { type: "button", class: "chip", "data-genre": genre, "data-state": "", on: { click: () => this.#turn(chip) } }, genre);
    label(chip);
    return chip;
  }

  #turn(chip) {
    chip.dataset.state = TURN[chip.dataset.state];
    label(chip);
    this.#changed();
  }

  #fold() {
    const opens = this.#form.hidden;
    this.#form.hidden = !opens;
    this.#toggle.setAttribute("aria-expanded", String(opens));
  }

  #clear() {
    for (const chip of this.#chips.children) {
      chip.dataset.state = "";
      label(chip);
    }
    setTimeout(() => this.#changed()); // "reset" is told before the fields are empty
  }

  #changed() {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#apply(), PAUSE_MS);
  }

  #apply() {
    if (!this.#form.checkValidity()) return; // half a year is not one yet
    const fields = Object.fromEntries([...new FormData(this.#form)].filter(([, value]) => value.trim()));
    const filters = { ...fields, wanted: this.#genres("wanted"), unwanted: this.#genres("unwanted") };
    const n = Object.keys(fields).length + filters.wanted.length + filters.unwanted.length;
    const badge = byId("filters-count");
    badge.hidden = n === 0;
    badge.textContent = ` ${n}`;
    this.#session.filter(filters);
  }

  #genres(state) {
    return [...this.#chips.children].filter((chip) => chip.dataset.state === state).map((chip) => chip.dataset.genre);
  }
}

/** Whether any filter is set. */
export function isFiltering(filters) {
  return Object.values(filters).some((value) => value.length > 0);
}

/** The filters as `POST /recommend/filtered` reads them. */
export function filterRequest({ wanted = [], unwanted = [], min_year: from, max_year: to, person, country, text }) {
  return {
    ...(wanted.length && { genres: { any: wanted } }),
    ...(unwanted.length && { exclude_genres: unwanted }),
    ...(from && { min_year: Number(from) }),
    ...(to && { max_year: Number(to) }),
    ...(person && { people: [person] }),
    ...(country && { country }),
    ...(text && { text }),
  };
}

function label(chip) {
  chip.setAttribute("aria-label", `${chip.dataset.genre}: ${SAID[chip.dataset.state]}`);
}
