// Asks for the programme of whoever is watching, and shows it: the wall, or an honest word why there is none.

import { post } from "./api.js";
import { announce, showError } from "./announce.js";
import { byId } from "./element.js";
import { isFiltering, filterRequest } from "./filters.js";
import { count, strategyLabel, titled } from "./words.js";

export class Programme {
  #session;
  #wall;
  #booth;
  #asking = null;
  #shownFor = null;
  #answer = null;
  #empty = byId("wall-empty");
  #retry = byId("wall-retry");
  #more = byId("wall-more");

  constructor(session, wall, booth) {
    this.#session = session;
    this.#wall = wall;
    this.#booth = booth;
    this.#retry.addEventListener("click", () => this.ask());
    this.#more.addEventListener("click", () => session.more());
    session.addEventListener("sort", () => wall.reorder(session.sort));
  }

  /** The id under which the service logged the list that shows a film; undefined when it is not on the wall. */
  recommendationOf(film) {
    const isShown = this.#wall.films.some((shown) => shown.movie_id === film.movie_id);
    return isShown ? this.#answer?.recommendation_id : undefined;
  }

  /**
   * Asks and shows. `cause`: what somebody just did ({film, words}), so that its effect can be told.
   * Returns what changed, or null when there was no answer or a newer question overtook this one.
   */
  async ask({ cause = null, flyTo = null } = {}) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#wall.isBusy = true;
    const started = performance.now();
    try {
      const answer = await post(...request(this.#session), { signal: asking.signal });
      const roundTripMs = performance.now() - started;
      return this.#show(answer, roundTripMs, cause, flyTo);
    } catch (error) {
      if (asking.signal.aborted) return null;
      if (error.code === "unknown_route" && isFiltering(this.#session.filters)) return this.#withoutFilters(error);
      showError(error);
      if (error.name === "ApiError") this.#explainAbsence(error.message, { mayRetry: true });
      return null;
    } finally {
      if (asking === this.#asking) this.#wall.isBusy = false;
    }
  }

  /** The server cannot filter: better an unfiltered programme than none. */
  #withoutFilters(error) {
    this.#session.filters = {};
    showError(error);
    return this.ask();
  }

  #show(answer, roundTripMs, cause, flyTo) {
    const films = answer.recommendations;
    const continues = this.#shownFor === this.#session.userId && this.#wall.films.length > 0;
    this.#shownFor = this.#session.userId;
    this.#answer = answer;
    const change = this.#wall.show(films, { sort: this.#session.sort, continues, flown: cause?.film.movie_id, flyTo });
    this.#booth.showAnswer(answer, roundTripMs);
    this.#tellState(answer, films);
    announce(continues ? changeInWords(change, cause) : `${count(films.length, "film")} for ${this.#session.personName}.`);
    return change;
  }

  #tellState(answer, films) {
    const wanted = this.#session.topK;
    byId("programme-state").textContent = `${count(films.length, "film")} · ${strategyLabel(answer.strategy)}`;
    this.#more.hidden = films.length < wanted || !this.#session.mayGrow;
    this.#retry.hidden = true;
    if (films.length === 0) this.#explainAbsence(sentence(answer.reason) || "No film passes these filters.");
    else if (answer.reason) this.#explainAbsence(sentence(answer.reason));
    else this.#empty.hidden = true;
  }

  #explainAbsence(words, { mayRetry = false } = {}) {
    this.#empty.textContent = words;
    this.#empty.hidden = false;
    this.#retry.hidden = !mayRetry;
    if (!mayRetry) return;
    this.#more.hidden = true;
    if (this.#shownFor === this.#session.userId) return;
    this.#wall.clear(); // never somebody else’s films under this name
    byId("programme-state").textContent = "";
  }
}

/** Path and body of the question that the session asks, with another blend when one is given. */
export function request(session, { blend = session.blend, topK = session.topK, explain = true } = {}) {
  const body = { user_id: session.userId, top_k: topK, explain, ...blend.asked };
  if (!isFiltering(session.filters)) return ["/recommend", body];
  return ["/recommend/filtered", { ...body, ...filterRequest(session.filters) }];
}

/** "You gave Alien (1979) 5 stars. 6 films are new, 9 moved. First now: Heat (1995)." */
export function changeInWords({ entered, moved, first }, cause = null) {
  const news = entered.length ? `${count(entered.length, "film is", "films are")} new, ${moved} moved` : `${moved} films moved`;
  const effect = entered.length || moved ? `${news}.${first ? ` First now: ${titled(first)}.` : ""}` : "The list stays as it was.";
  return cause ? `${cause.words} ${effect}` : effect;
}

function sentence(text) {
  if (!text) return "";
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
