// The way out: asks once whether it is meant, lets the service forget a person, and starts the page over.

import { remove } from "./api.js";
import { notice } from "./announce.js";
import { byId, fill, h } from "./element.js";
import { keepSignedIn, onlyPerson } from "./signed_in.js";
import { count } from "./words.js";

/** `onGone` is called when the person who was signed in is no more. */
export function offerForgetting(session, onGone) {
  const dialog = byId("forget-dialog");
  const open = () => {
    fill(dialog, question(session, (answer) => said(dialog, session, answer, onGone), () => dialog.close()));
    dialog.showModal();
  };
  for (const id of ["forget-me", "forget-person"]) byId(id).addEventListener("click", open);
}

function question(session, onForgotten, close) {
  const { isOwn, userId } = session;
  const error = h("p", { class: "is-error", role: "alert" });
  const forget = async () => {
    error.textContent = "";
    try {
      onForgotten(await remove(`/users/${encodeURIComponent(userId)}`));
    } catch (problem) {
      if (problem.name !== "ApiError") throw problem;
      error.textContent = problem.message;
    }
  };
  return [
    h("h2", { id: "forget-heading" }, isOwn ? "Forget you?" : `Forget person ${userId}?`),
    h("p", {}, isOwn ? lostByMe() : "What they did here is deleted, and their data in the release is no longer used. This cannot be undone."),
    error,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "primary", on: { click: forget } }, isOwn ? "Forget me" : "Forget them"),
      h("button", { type: "button", autofocus: true, on: { click: close } }, "Keep everything"),
    ),
  ];
}

function lostByMe() {
  const account = onlyPerson() === null ? "" : ` Your account “${onlyPerson()}” is deleted with it.`;
  return `What you rated, liked and looked at here is deleted.${account} This cannot be undone.`;
}

/** Whoever had an account reads it here and starts over from the door; everybody else is back in their seat, unknown. */
function said(dialog, session, { events_deleted: n }, onGone) {
  const deleted = n ? `, with ${count(n, "event")}` : "";
  if (session.isOwn && onlyPerson() !== null) {
    keepSignedIn(null);
    dialog.addEventListener("close", onGone, { once: true });
    const over = h("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, "Start over");
    fill(dialog, h("h2", { id: "forget-heading" }, "You are forgotten"), h("p", {}, `Your account is gone${deleted}.`), h("div", { class: "buttons" }, over));
    return over.focus();
  }
  dialog.close();
  notice(`${session.isOwn ? "You are" : `Person ${session.userId} is`} forgotten${deleted}.`);
  if (session.isOwn) session.restartOwn();
  else session.watch(session.userId);
}
