// Starts the page: reads what runs here, seats somebody, and joins the parts. What each part does is its own file.

import { get } from "./api.js";
import { notice, showError } from "./announce.js";
import { Audience } from "./audience.js";
import { blendsOf, fillBlends } from "./blends.js";
import { Booth } from "./booth.js";
import { Compare } from "./compare.js";
import { byId } from "./element.js";
import { Feedback } from "./feedback.js";
import { FilmDialog } from "./film_dialog.js";
import { Filmstrip } from "./filmstrip.js";
import { Filters } from "./filters.js";
import { offerForgetting } from "./forget.js";
import { Mixer } from "./mixer.js";
import { Programme } from "./programme.js";
import { Search } from "./search.js";
import { Session } from "./session.js";
import { listenForSignIn } from "./sign_in.js";
import { showOnSign } from "./sign.js";
import { signedIn } from "./signed_in.js";
import { TastePicker } from "./taste.js";
import { Wall } from "./wall.js";
import { count } from "./words.js";

async function start() {
  listenForSignIn(() => location.reload());
  const session = new Session();
  const dialog = new FilmDialog();
  const open = (film) => dialog.open(film);
  new Search(open);
  const booth = new Booth((release) => changeRelease(release, session, booth).catch(showError));
  const wall = new Wall({
    open,
    rate: (film, stars) => feedback.rate(film, stars),
    dismiss: (film) => feedback.dismiss(film),
  });
  const programme = new Programme(session, wall, booth);
  const filmstrip = new Filmstrip(session, open);
  const feedback = new Feedback(session, programme, booth, filmstrip);
  dialog.feedback = feedback;
  const picker = new TastePicker(session, feedback);
  const audience = new Audience(session);

  const config = await get("/config");
  const blends = blendsOf(config);
  const compare = new Compare(session, blends, open);
  const mixer = new Mixer(session, config.fusion_weights);
  new Filters(session, config);
  offerForgetting(session, () => location.reload());
  describe(config, booth);
  chooseBlends(session, blends, mixer);
  byId("sort").addEventListener("change", (event) => session.order(event.target.value));
  byId("compare-toggle").addEventListener("click", () => placeSideBySide(compare));

  filmstrip.onPerson = (person) => {
    showOnSign(session, person?.genres ?? []);
    picker.tellHint(person?.history.length ?? 0);
  };
  session.addEventListener("person", () => seat(session, { programme, compare, filmstrip, picker, feedback }).catch(showError));
  session.addEventListener("programme", () => refresh(programme, compare).catch(showError));
  session.addEventListener("taste", () => compare.refresh().catch(showError));

  document.documentElement.dataset.signedIn = signedIn()?.role ?? "nobody";
  const first = await audience.open(config.data);
  const wished = Session.wished();
  if (wished.isOwn) session.watchOwn();
  else session.watch(wished.person ?? first ?? "1");
}

/** Somebody sits down: their programme, their films, their name on the sign. */
async function seat(session, { programme, compare, filmstrip, picker, feedback }) {
  showOnSign(session, []);
  const [person] = await Promise.all([filmstrip.refresh(), refresh(programme, compare)]);
  if (session.isOwn) await picker.open(person?.history ?? []);
  await feedback.resume();
}

async function refresh(programme, compare) {
  await Promise.all([programme.ask(), compare.refresh()]);
}

function chooseBlends(session, blends, mixer) {
  const select = byId("blend");
  const offered = [...blends, mixer.blend];
  const choose = (id) => {
    if (id === "mix" && session.blend) mixer.startFrom(session.blend.weights);
    session.blend = id === "mix" ? mixer.blend : (blends.find((blend) => blend.id === id) ?? blends[0]);
    mixer.isOpen = session.blend.id === "mix";
  };
  choose(Session.wished().blend);
  fillBlends(select, offered, session.blend.id);
  select.addEventListener("change", () => {
    choose(select.value);
    session.mix(session.blend);
  });
}

function placeSideBySide(compare) {
  compare.isOpen = !compare.isOpen;
  byId("compare-toggle").setAttribute("aria-pressed", String(compare.isOpen));
  for (const id of ["wall", "wall-foot", "blend-field", "sort-field", "programme-state"]) byId(id).hidden = compare.isOpen;
  byId("mixer").hidden = compare.isOpen || byId("blend").value !== "mix";
}

function describe(config, booth) {
  booth.showConfig(config);
  const { data } = config;
  const people = count(data.people, "person", "people");
  byId("foot-data").textContent = data.simulated
    ? `Real films, ${people} created by a program: every rating here is simulated. ${hasPosters(config) ? "The posters were drawn by a program too." : ""}`
    : `${count(data.films, "film")} and ${people} of ${data.name}.`;
}

const hasPosters = (config) => (config.coverage?.poster ?? 0) > 0;

async function changeRelease(release, session, booth) {
  notice(`Release ${release} is on screen now.`);
  describe(await get("/config"), booth);
  session.dispatchEvent(new Event("programme"));
}

start().catch((error) => {
  byId("wall").setAttribute("aria-busy", "false"); // nothing is on its way
  showError(error);
});
