// The projection booth: what the last answer cost and was made of, which release runs, whether the server is well.

import { get } from "./api.js";
import { announce } from "./announce.js";
import { byId, fill, h, svg } from "./element.js";
import { changeInWords } from "./programme.js";
import { count, listed, ms, partLabel, stageLabel, strategyLabel } from "./words.js";

const POLL_MS = 10_000;
const REMEMBERED_ANSWERS = 30;
const REMEMBERED_ACTIONS = 6;
const REST_WORTH_TELLING = 0.02;

export class Booth {
  #totals = [];
  #release = null;
  #onNewRelease;
  #answer = h("section", { class: "booth-answer" });
  #actions = h("ol", { class: "booth-actions", role: "list" });
  #actionsSection = h("section", { hidden: true }, h("h3", {}, "What you did"), this.#actions);
  #about = h("section", { class: "booth-about" });
  #health = h("p", { class: "booth-health" });

  /** `onNewRelease` is called when the server has changed to another release. */
  constructor(onNewRelease) {
    this.#onNewRelease = onNewRelease;
    fill(byId("booth"), this.#health, this.#answer, this.#actionsSection, this.#about);
    byId("booth-fold").open = matchMedia("(min-width: 75rem)").matches;
    setInterval(() => document.hidden || this.#watch(), POLL_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.#watch());
    this.#watch();
  }

  /** Everything about an answer that is not a film. */
  showAnswer(answer, roundTripMs) {
    const { total, ...measured } = answer.timings_ms;
    const stages = withRest(measured, total);
    this.#totals = [...this.#totals, { total, cached: answer.cached }].slice(-REMEMBERED_ANSWERS);
    fill(
      this.#answer,
      h("h3", {}, "The last answer"),
      h("p", { class: "booth-total" }, ms(total), h("span", { class: "booth-round-trip" }, ` in the server, ${ms(roundTripMs)} to this page`)),
      timeline(stages, total),
      stageTable(stages, total),
      h(
        "dl",
        { class: "booth-facts" },
        fact("Cache", answer.cached ? "hit: this answer was ready" : "miss: made for you just now", answer.cached ? "good" : ""),
        fact("Strategy", strategyLabel(answer.strategy)),
        fact("Left out", answer.degraded.length ? listed(answer.degraded.map(partLabel)) : "nothing", answer.degraded.length ? "bad" : "good"),
        fact("Release", String(answer.release)),
        ...Object.entries(answer.experiments ?? {}).map(([experiment, arm]) => fact("Experiment", `${experiment}: ${arm}`)),
        fact("List", answer.recommendation_id, "mono"),
      ),
      h("div", { class: "booth-history" }, h("h4", {}, `The last ${count(this.#totals.length, "answer")}`), sparkline(this.#totals)),
    );
    if (this.#release !== null && answer.release !== this.#release) this.#changeRelease(answer.release);
  }

  /** What somebody did, how fast it was safe, and how fast it showed. */
  logAction(words, acknowledgedMs, shownMs, change) {
    const effect = change ? changeInWords({ ...change, first: null }) : "";
    const line = h("li", {}, h("p", {}, words), h("p", { class: "hint" }, `Kept after ${ms(acknowledgedMs)}, new list after ${ms(shownMs)}. ${effect}`));
    this.#actions.prepend(line);
    while (this.#actions.children.length > REMEMBERED_ACTIONS) this.#actions.lastElementChild.remove();
    this.#actionsSection.hidden = false;
  }

  /** The release and the data behind it. config: what `/config` says. */
  showConfig(config) {
    this.#release = config.release;
    const { data } = config;
    const people = `${count(data.people, data.simulated ? "simulated person" : "person", data.simulated ? "simulated people" : "people")}`;
    const devices = Map.groupBy(Object.entries(config.models ?? {}), ([, device]) => device);
    fill(
      this.#about,
      h("h3", {}, `Release ${config.release}`),
      h("dl", { class: "booth-facts" }, fact("Made", when(config.created_at)), fact("Data", `${data.name}: ${count(data.films, "film")}, ${people}`), config.poster_weights && fact("Poster model", config.poster_weights)),
      [...devices].map(([device, models]) =>
        h("details", { class: "booth-models" }, h("summary", {}, `${count(models.length, "model")} on ${device}`), h("ul", { role: "list" }, models.map(([name]) => h("li", {}, name)))),
      ),
    );
  }

  async #watch() {
    try {
      const health = await get("/health");
      const redis = { ok: "", writes_fail: " Redis refuses writes: what you do is kept on disk until it takes them." }[health.redis] ?? " Redis is away: what you do is kept on disk until it returns.";
      this.#tellHealth(redis ? "weak" : "well", `On air: release ${health.release}, ${count(health.movies_loaded, "film")}.${redis}`);
      if (this.#release !== null && health.release !== this.#release) this.#changeRelease(health.release);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      this.#tellHealth("down", error.message);
    }
  }

  #tellHealth(state, words) {
    const lamp = byId("lamp");
    if (lamp.dataset.state && lamp.dataset.state !== state) announce(words);
    lamp.dataset.state = state;
    this.#health.textContent = words;
  }

  #changeRelease(release) {
    this.#release = release;
    this.#onNewRelease(release);
  }
}

/** The stages, and what passed between them where that is worth telling. */
function withRest(stages, total) {
  const rest = total - Object.values(stages).reduce((sum, value) => sum + value, 0);
  return rest > total * REST_WORTH_TELLING ? { ...stages, rest } : stages;
}

/** One bar, as wide as the answer took, cut into its stages. Its numbers stand in the table below it. */
function timeline(stages, total) {
  const bar = h("div", { class: "timeline", "aria-hidden": "true" });
  for (const [index, [name, value]] of Object.entries(stages).entries()) {
    const part = h("span", { class: `stage stage-${index % 6}`, title: `${stageLabel(name)}: ${ms(value)}` });
    part.style.setProperty("flex-grow", String(Math.max((value / total) * 1000, 4)));
    bar.append(part);
  }
  return bar;
}

function stageTable(stages, total) {
  const row = ([name, value], index) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: `swatch stage-${index % 6}` }), stageLabel(name)),
      h("td", {}, ms(value)),
      h("td", {}, `${Math.round((value / total) * 100)} %`),
    );
  return h("table", { class: "stages" }, h("caption", { class: "visually-hidden" }, "Time per stage"), h("tbody", {}, Object.entries(stages).map(row)));
}

function sparkline(totals) {
  const highest = Math.max(...totals.map(({ total }) => total));
  const bars = totals.map(({ total, cached }, index) => {
    const height = Math.max((total / highest) * 30, 1);
    const x = (REMEMBERED_ANSWERS - totals.length + index) * 8;
    return svg("rect", { class: cached ? "from-cache" : "", x, y: 30 - height, width: 6, height, rx: 1 });
  });
  const label = `Server times, newest last: ${totals.slice(-5).map(({ total }) => ms(total)).join(", ")}`;
  return h("div", { role: "img", "aria-label": label }, svg("svg", { class: "sparkline", viewBox: `0 0 ${REMEMBERED_ANSWERS * 8} 30`, preserveAspectRatio: "none" }, bars));
}

function fact(name, value, kind = "") {
  return h("div", {}, h("dt", {}, name), h("dd", { class: kind }, value));
}

function when(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.valueOf()) ? iso : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
