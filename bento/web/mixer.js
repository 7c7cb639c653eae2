// "My own mix": one fader per source. Moving one asks for the programme again.

import { ownMix } from "./blends.js";
import { byId, fill, h } from "./element.js";
import { SOURCES } from "./words.js";

const PAUSE_MS = 160;
const FULL = 100;

export class Mixer {
  #session;
  #form = byId("mixer");
  #weights = {};
  #waiting = 0;

  constructor(session, weights) {
    this.#session = session;
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.startFrom(weights);
  }

  /** Sets the faders to a blend's weights, the loudest at the top. */
  startFrom(weights) {
    const loudest = Math.max(...Object.values(weights), 1e-9);
    this.#weights = Object.fromEntries(Object.keys(SOURCES).map((source) => [source, Math.max(0, weights[source] ?? 0) / loudest]));
    fill(this.#form, Object.keys(SOURCES).map((source) => this.#fader(source)));
  }

  /** The mix as the faders stand. */
  get blend() {
    return ownMix({ ...this.#weights });
  }

  set isOpen(open) {
    this.#form.hidden = !open;
  }

  #fader(source) {
    const value = Math.round(this.#weights[source] * FULL);
    const shown = h("output", { class: "fader-value" }, value);
    const input = h("input", {
      type: "range",
      min: 0,
      max: FULL,
      value,
      on: {
        input: () => {
          shown.textContent = input.value;
          this.#move(source, Number(input.value) / FULL);
        },
      },
    });
    return h("label", { class: "fader", title: SOURCES[source].why }, h("span", {}, SOURCES[source].label), input, shown);
  }

  #move(source, weight) {
    this.#weights[source] = weight;
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#session.mix(this.blend), PAUSE_MS);
  }
}
