// Two blends side by side: two ranked lists, and a line from each film to its place on the other side.

import { post } from "./api.js";
import { announce, showError } from "./announce.js";
import { fillBlends } from "./blends.js";
import { byId, fill, h, svg } from "./element.js";
import { poster } from "./poster.js";
import { request } from "./programme.js";
import { count, ms, titled } from "./words.js";

const FILMS = 12;
const SIDES = ["left", "right"];

export class Compare {
  #session;
  #blends;
  #chosen;
  #asking = null;
  #root = byId("compare");
  #summary = h("p", { class: "compare-summary" });
  #lines = svg("svg", { class: "compare-lines", preserveAspectRatio: "none" });
  #sides;

  /** `open` is called with the film that is clicked. */
  constructor(session, blends, open) {
    this.#session = session;
    this.#blends = blends;
    this.#chosen = { left: blends[0], right: blends[1] ?? blends[0] };
    this.#sides = Object.fromEntries(SIDES.map((side) => [side, this.#column(side)]));
    this.open = open;
    fill(this.#root, this.#summary, h("div", { class: "compare-stage" }, this.#sides.left.element, this.#lines, this.#sides.right.element));
    new ResizeObserver(() => this.#draw()).observe(this.#root);
  }

  get isOpen() {
    return !this.#root.hidden;
  }

  set isOpen(open) {
    this.#root.hidden = !open;
    if (open) this.refresh().catch(showError);
  }

  /** Asks both sides at once. */
  async refresh() {
    if (!this.isOpen) return;
    this.#asking?.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#root.setAttribute("aria-busy", "true");
    const answers = await Promise.all(
      SIDES.map((side) => post(...request(this.#session, { blend: this.#chosen[side], topK: FILMS }), { signal })),
    );
    for (const [index, side] of SIDES.entries()) this.#show(side, answers[index], answers[1 - index]);
    this.#summary.textContent = comparisonInWords(...answers.map((answer) => answer.recommendations));
    announce(this.#summary.textContent);
    this.#draw();
    this.#root.setAttribute("aria-busy", "false");
  }

  #column(side) {
    const select = h("select", { "aria-label": `Blend on the ${side}`, on: { change: () => this.#choose(side, select.value) } });
    fillBlends(select, this.#blends, this.#chosen[side].id);
    const note = h("p", { class: "compare-note" });
    const list = h("ol", { class: "compare-list", role: "list", "aria-label": `Films on the ${side}` });
    return { element: h("section", { class: `compare-side ${side}`, "aria-label": `List on the ${side}` }, select, note, list), list, note };
  }

  #choose(side, blendId) {
    this.#chosen[side] = this.#blends.find((blend) => blend.id === blendId);
    this.refresh().catch(showError);
  }

  #show(side, answer, other) {
    const { list, note } = this.#sides[side];
    const elsewhere = new Set(other.recommendations.map((film) => film.movie_id));
    note.textContent = `${ms(answer.timings_ms.total)}${answer.cached ? ", from the cache" : ""}`;
    fill(list, answer.recommendations.map((film, index) => this.#row(film, index, elsewhere.has(film.movie_id))));
  }

  #row(film, index, isShared) {
    return h(
      "li",
      { class: isShared ? "is-shared" : "is-alone", "data-movie-id": film.movie_id, on: { pointerenter: () => this.#light(film.movie_id), pointerleave: () => this.#light(null) } },
      h(
        "button",
        { type: "button", class: "compare-film", on: { click: () => this.open(film), focus: () => this.#light(film.movie_id), blur: () => this.#light(null) } },
        h("span", { class: "compare-rank" }, index + 1),
        " ",
        poster(film),
        h("span", { class: "compare-title" }, film.title, " ", h("span", { class: "compare-year" }, film.year ?? "")),
        !isShared && h("span", { class: "visually-hidden" }, ", only on this side"),
      ),
    );
  }

  #draw() {
    if (!this.isOpen) return;
    const stage = this.#lines.getBoundingClientRect();
    this.#lines.setAttribute("viewBox", `0 0 ${stage.width} ${stage.height}`);
    const middles = (side) =>
      new Map([...this.#sides[side].list.children].map((row) => {
        const place = row.getBoundingClientRect();
        return [row.dataset.movieId, place.top + place.height / 2 - stage.top];
      }));
    const right = middles("right");
    const half = stage.width / 2;
    fill(
      this.#lines,
      [...middles("left")]
        .filter(([movieId]) => right.has(movieId))
        .map(([movieId, y]) => svg("path", { "data-movie-id": movieId, d: `M0 ${y}C${half} ${y} ${half} ${right.get(movieId)} ${stage.width} ${right.get(movieId)}` })),
    );
  }

  #light(movieId) {
    for (const part of this.#root.querySelectorAll("[data-movie-id]")) {
      part.classList.toggle("is-lit", movieId !== null && part.dataset.movieId === String(movieId));
    }
  }
}

/** "7 of 12 films are in both lists. Furthest apart: Alien (1979), 2nd on the left and 9th on the right." */
export function comparisonInWords(left, right) {
  const rightRank = new Map(right.map((film, index) => [film.movie_id, index]));
  const shared = left.flatMap((film, index) => (rightRank.has(film.movie_id) ? [{ film, left: index, right: rightRank.get(film.movie_id) }] : []));
  const sum = `${shared.length} of ${count(left.length, "film is", "films are")} in both lists.`;
  const [furthest] = [...shared].sort((a, b) => Math.abs(b.left - b.right) - Math.abs(a.left - a.right));
  if (!furthest || furthest.left === furthest.right) return sum;
  return `${sum} Furthest apart: ${titled(furthest.film)}, ${nth(furthest.left)} on the left and ${nth(furthest.right)} on the right.`;
}

function nth(index) {
  const n = index + 1;
  const ending = { one: "st", two: "nd", few: "rd", other: "th" }[new Intl.PluralRules("en", { type: "ordinal" }).select(n)];
  return `${n}${ending}`;
}
