// Search with suggestions: a combobox as ARIA describes it, and a shelf with all that was found.

import { get } from "./api.js";
import { announce, showError } from "./announce.js";
import { byId, fill, h } from "./element.js";
import { poster } from "./poster.js";
import { count } from "./words.js";

const PAUSE_MS = 130;
const SUGGESTED = 8;
const FOUND = 30;

export class Search {
  #input = byId("search-input");
  #options = byId("search-options");
  #films = [];
  #active = -1;
  #asking = null;
  #waiting = 0;
  #open;

  /** `open` is called with the film that is chosen. */
  constructor(open) {
    this.#open = open;
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("keydown", (event) => this.#pressed(event));
    this.#input.addEventListener("blur", () => this.#close());
    byId("search-form").addEventListener("submit", (event) => this.#submit(event));
    byId("results-close").addEventListener("click", () => this.#closeShelf());
    document.addEventListener("keydown", (event) => this.#jumpHere(event));
  }

  #typed() {
    clearTimeout(this.#waiting);
    this.#asking?.abort();
    if (!this.#input.value.trim()) return this.#close();
    this.#waiting = setTimeout(() => this.#suggest().catch(showError), PAUSE_MS);
    return undefined;
  }

  async #suggest() {
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const { films } = await get("/search", { q: this.#input.value.trim(), limit: SUGGESTED }, { signal });
    if (document.activeElement !== this.#input) return;
    this.#films = films;
    this.#active = -1;
    fill(this.#options, films.length ? films.map((film, index) => this.#option(film, index)) : h("li", { class: "search-none", role: "presentation" }, "Nothing found"));
    this.#options.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#input.removeAttribute("aria-activedescendant");
    announce(films.length ? `${count(films.length, "film")} found` : "Nothing found");
  }

  #option(film, index) {
    const how = film.match === "meaning" ? "by meaning" : "";
    return h(
      "li",
      {
        id: `search-option-${index}`,
        class: "search-option",
        role: "option",
        "aria-selected": "false",
        on: {
          pointerdown: (event) => event.preventDefault(), // the field keeps the focus until the click has arrived
          click: () => this.#choose(film),
        },
      },
      poster(film),
      h("span", { class: "search-title" }, film.title, h("span", { class: "search-facts" }, [film.year, how].filter(Boolean).join(" · "))),
    );
  }

  #pressed(event) {
    const isOpen = !this.#options.hidden;
    if (event.key === "Escape" && isOpen) {
      event.preventDefault(); // a first Escape closes the list, a second empties the field
      this.#close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (isOpen) this.#step(event.key === "ArrowDown" ? 1 : -1);
      else if (this.#input.value.trim()) this.#suggest().catch(showError);
    } else if (event.key === "Enter" && isOpen && this.#active >= 0) {
      event.preventDefault();
      this.#choose(this.#films[this.#active]);
    }
  }

  /** The next suggestion; beyond either end stands the field itself (-1). */
  #step(direction) {
    const places = this.#films.length + 1;
    this.#active = ((this.#active + 1 + direction + places) % places) - 1;
    for (const [index, option] of [...this.#options.children].entries()) {
      option.setAttribute("aria-selected", String(index === this.#active));
      if (index === this.#active) option.scrollIntoView({ block: "nearest" });
    }
    if (this.#active < 0) this.#input.removeAttribute("aria-activedescendant");
    else this.#input.setAttribute("aria-activedescendant", `search-option-${this.#active}`);
  }

  #choose(film) {
    this.#close();
    this.#open(film);
  }

  #close() {
    this.#options.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#active = -1;
  }

  #submit(event) {
    event.preventDefault();
    clearTimeout(this.#waiting);
    this.#asking?.abort();
    const words = this.#input.value.trim();
    this.#close();
    if (words) this.#fillShelf(words).catch(showError);
  }

  async #fillShelf(words) {
    const { films } = await get("/search", { q: words, limit: FOUND });
    const heading = byId("results-heading");
    heading.textContent = films.length ? `${count(films.length, "film")} for “${words}”` : `No film found for “${words}”`;
    fill(byId("results-films"), films.map((film) => shelved(film, () => this.#open(film))));
    byId("results").hidden = false;
    heading.focus();
  }

  #closeShelf() {
    byId("results").hidden = true;
    this.#input.focus();
  }

  /** "/" jumps to the field, as people know it from elsewhere. */
  #jumpHere(event) {
    const writes = event.target.closest("input:not([type=radio]):not([type=range]), textarea, select, dialog");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writes) return;
    event.preventDefault();
    this.#input.focus();
  }
}

/** A film on a shelf: poster and title, one button. */
export function shelved(film, onClick, note = "") {
  return h(
    "li",
    { "data-movie-id": film.movie_id },
    h(
      "button",
      { type: "button", class: "shelf-film", on: { click: onClick } },
      poster(film),
      h("span", { class: "shelf-title" }, film.title),
      " ",
      h("span", { class: "shelf-facts" }, [film.year, note].filter(Boolean).join(" · ")),
    ),
  );
}
