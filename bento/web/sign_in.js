// Asks for a name and a password when the server wants to know who is calling. Local servers do not.

import { postForm, useToken } from "./api.js";
import { byId, fill, h } from "./element.js";

/** Opens the dialog whenever an answer was "401"; `onDone` is called after a successful sign-in. */
export function listenForSignIn(onDone) {
  const dialog = byId("sign-in-dialog");
  document.addEventListener("marquee:sign-in", () => {
    if (dialog.open) return;
    fill(dialog, form(dialog, onDone));
    dialog.showModal();
  });
}

function form(dialog, onDone) {
  const error = h("p", { class: "is-error", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    error.textContent = "";
    const fields = Object.fromEntries(new FormData(event.target));
    try {
      const { access_token: token } = await postForm("/auth/login", fields);
      useToken(token);
    } catch (problem) {
      if (problem.name !== "ApiError") throw problem;
      error.textContent = problem.status === 401 ? "Name or password is wrong." : problem.message;
      return;
    }
    dialog.close();
    onDone();
  };
  return h(
    "form",
    { on: { submit } },
    h("h2", { id: "sign-in-heading" }, "Box office"),
    h("p", {}, "This server wants to know who you are."),
    h("label", { class: "field" }, h("span", {}, "Name"), h("input", { name: "username", autocomplete: "username", required: true })),
    h("label", { class: "field" }, h("span", {}, "Password"), h("input", { name: "password", type: "password", autocomplete: "current-password", required: true })),
    error,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Sign in"), h("button", { type: "button", on: { click: () => dialog.close() } }, "Not now")),
  );
}
