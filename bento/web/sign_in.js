// The box office: asks for a name and a password when the server wants to know who is calling. Local servers do not.

import { post, postForm } from "./api.js";
import { byId, fill, h } from "./element.js";
import { keepSignedIn, signedIn } from "./signed_in.js";

const SHORTEST_PASSWORD = 8;

const RETURNING = { title: "Box office", button: "Sign in", other: "I am new here", autocomplete: "current-password" };
const NEW = { title: "A new season ticket", button: "Make an account", other: "I have an account", autocomplete: "new-password" };

/** Opens the dialog whenever an answer was "401", or when somebody asks for it; `onDone` is called when who is there has changed. */
export function listenForSignIn(onDone) {
  const dialog = byId("sign-in-dialog");
  const account = byId("account");
  const open = (words) => {
    if (dialog.open) return;
    fill(dialog, form(dialog, RETURNING, words, onDone));
    dialog.showModal();
  };
  document.addEventListener("marquee:sign-in", ({ detail }) => {
    fill(account, h("button", { type: "button", on: { click: () => open("") } }, "Sign in"));
    open(detail.hasEnded ? "Your sign-in has ended. Please sign in again." : "This server requires you to sign in.");
  });
  const leave = () => {
    keepSignedIn(null);
    onDone();
  };
  const person = signedIn();
  if (person) fill(account, h("span", { class: "account-name" }, person.userId), h("button", { type: "button", on: { click: leave } }, "Sign out"));
}

function form(dialog, mode, words, onDone) {
  const error = h("p", { class: "is-error", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    error.textContent = "";
    const fields = Object.fromEntries(new FormData(event.target));
    try {
      if (mode === NEW) await post("/auth/register", fields);
      if (!keepSignedIn(await postForm("/auth/login", fields))) {
        error.textContent = "This browser keeps nothing for this page, so nobody can stay signed in here.";
        return;
      }
    } catch (problem) {
      if (problem.name !== "ApiError") throw problem;
      error.textContent = problem.status === 401 ? "Name or password is wrong." : problem.message;
      return;
    }
    dialog.close();
    onDone();
  };
  const turn = () => {
    fill(dialog, form(dialog, mode === NEW ? RETURNING : NEW, words, onDone));
    dialog.querySelector("input").focus();
  };
  return h(
    "form",
    { on: { submit } },
    h("h2", { id: "sign-in-heading" }, mode.title),
    words && h("p", { class: "sign-in-words" }, words),
    h("label", { class: "field" }, h("span", {}, "Name"), h("input", { name: "username", autocomplete: "username", required: true, maxlength: 128 })),
    h(
      "label",
      { class: "field" },
      h("span", {}, mode === NEW ? `Password, ${SHORTEST_PASSWORD} characters or more` : "Password"),
      h("input", { name: "password", type: "password", autocomplete: mode.autocomplete, required: true, minlength: mode === NEW && SHORTEST_PASSWORD, maxlength: 256 }),
    ),
    error,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, mode.button), h("button", { type: "button", on: { click: () => dialog.close() } }, "Not now")),
    h("p", {}, h("button", { type: "button", class: "sign-in-turn", on: { click: turn } }, mode.other)),
  );
}
