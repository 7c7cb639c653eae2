// What somebody does with a film goes to the service; then the list is asked again, so that its effect is seen.

import { postOnce } from "./api.js";
import { notice, showError } from "./announce.js";
import { byId } from "./element.js";
import { keepPending, takePending } from "./pending.js";
import { changeInWords } from "./programme.js";
import { signedIn } from "./signed_in.js";
import { count, titled } from "./words.js";

export class Feedback {
  #session;
  #programme;
  #booth;
  #filmstrip;
  #lookedAt = null;

  constructor(session, programme, booth, filmstrip) {
    this.#session = session;
    this.#programme = programme;
    this.#booth = booth;
    this.#filmstrip = filmstrip;
  }

  /** Stars for a film, 1 to 5. */
  rate(film, stars) {
    return this.#send(film, { event_type: "rate", value: stars }, `You gave ${titled(film)} ${count(stars, "star")}.`);
  }

  /** A film that somebody loves; what the cold-start picker sends. */
  like(film) {
    return this.#send(film, { event_type: "like" }, `You like ${titled(film)}.`);
  }

  /** Not interested. */
  dismiss(film) {
    return this.#send(film, { event_type: "dislike" }, `${titled(film)} is not for you.`);
  }

  /** Somebody opened a film. That tells something too; `showEffect` lets it show once they have read enough. */
  looked(film) {
    const { userId } = this.#session;
    const sending = postOnce("/events", this.#about(film, { event_type: "click" }));
    this.#lookedAt = sending.then(() => ({ film, userId })).catch(onlyApiErrors);
  }

  /** Asks for the list again when looking at a film has changed what is known of the person. */
  async showEffect() {
    const looked = await this.#lookedAt;
    this.#lookedAt = null;
    if (looked?.userId !== this.#session.userId) return;
    await this.#programme.ask({ cause: { film: looked.film, words: `You looked at ${titled(looked.film)}.` } });
    this.#session.dispatchEvent(new Event("taste"));
  }

  /** Sends what could not be sent before somebody signed in. */
  async resume() {
    if (!signedIn()) return;
    for (const { film, event, words } of takePending(this.#session.userId)) await this.#send(film, event, words);
  }

  /** An event as the service reads it; films of the list quote the answer that showed them. */
  #about(film, event) {
    const shownBy = this.#programme.recommendationOf(film);
    return { user_id: this.#session.userId, item_id: film.movie_id, ...(shownBy && { recommendation_id: shownBy }), ...event };
  }

  /** Returns whether the service took the event. */
  async #send(film, event, words) {
    const { userId } = this.#session;
    const body = this.#about(film, event);
    this.#lookedAt = null; // what is done now says more, and brings a new list itself
    const started = performance.now();
    try {
      await postOnce("/events", body);
    } catch (error) {
      if (error.status === 401) this.#keep(film, body, words);
      showError(error);
      return false;
    }
    const acknowledgedMs = performance.now() - started;
    if (userId !== this.#session.userId) return true; // somebody else sat down meanwhile
    const change = await this.#programme.ask({ cause: { film, words }, flyTo: this.#seatOf(event) });
    this.#booth.logAction(words, acknowledgedMs, performance.now() - started, change);
    if (change) notice(changeInWords(change, { words }), { isSilent: true });
    this.#session.dispatchEvent(new Event("taste"));
    await this.#filmstrip.refresh();
    return true;
  }

  /** The server asks who this is: what was done counts as soon as it knows. */
  #keep(film, { user_id: userId, item_id: _, ...event }, words) {
    const timestamp = Date.now() / 1_000;
    const { movie_id, title, year } = film;
    const kept = keepPending({ userId, film: { movie_id, title, year }, event: { timestamp, ...event }, words });
    if (kept) notice(`${words} That counts as soon as you have signed in.`);
  }

  /** Liked and rated films fly to the film strip; dismissed ones just go. */
  #seatOf({ event_type: type }) {
    const strip = byId("filmstrip");
    return type === "dislike" || strip.hidden ? null : strip.getBoundingClientRect();
  }
}

/** A click that is lost costs nobody anything; a mistake of ours should still be heard of. */
function onlyApiErrors(error) {
  if (error.name !== "ApiError") throw error;
  return null;
}
