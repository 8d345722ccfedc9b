// Keeps the status page up to date: /-/events tells what has changed, the bar runs down by itself in between.

import { $, copy, count, duration, element } from "./common.js";

/** Requests that are shown. */
const MOST = 50;

const STATES = {
  starting: ["Starting", "The first token is on its way."],
  ready: ["Ready", "Requests are passed on. The token is renewed by itself, well before its end."],
  degraded: ["Renewal is late", "Requests are passed on, but the next token is late."],
  broken: ["No token", "Requests are refused until there is a token."],
  draining: ["Ending", "The proxy is being stopped."],
};

/** The last thing we were told, and by how much the proxy's clock is ahead of ours. */
let state = null;
let ahead = 0;
let source = null;
let again = null;

/** The row that says that there are no requests. */
const none = $("requests").querySelector(".empty");

const now = () => Date.now() + ahead;
const clock = (at) => new Date(at - ahead).toLocaleTimeString([], { hour12: false });

function left(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Sets a text if it is another one: screen readers need not be told twice. */
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function showState(told) {
  const renewed = state !== null && told.generation !== null && told.generation !== state.generation;
  ahead = told.now - Date.now();
  state = told;
  const [word, sentence] = STATES[told.status] ?? [told.status, ""];
  say("state", word);
  $("state").dataset.state = told.status;
  say("reason", told.reason ? `${sentence} ${told.reason}` : sentence);
  say("generation", told.generation === null ? "–" : `${told.generation}`);
  say("obtained", told.obtained === null ? "–" : clock(told.obtained));
  say("expires", told.expires === null ? "–" : clock(told.expires));
  showHistory(told.history);
  if (renewed) {
    $("bar").classList.remove("renewed");
    // Reading the width lets the animation begin anew.
    void $("bar").offsetWidth;
    $("bar").classList.add("renewed");
  }
  showBar();
}

function showBar() {
  if (state === null) return;
  const alive = state.expires !== null;
  const life = alive ? Math.max(1, state.expires - state.obtained) : 1;
  const rest = alive ? Math.min(life, Math.max(0, state.expires - now())) : 0;
  const waiting = !alive && state.next_attempt !== null;
  $("fill").style.transform = `scaleX(${rest / life})`;
  $("bar").dataset.low = alive && rest / life < 0.2;
  say("left-label", waiting ? "Next attempt in" : "Time left");
  const text = waiting ? left(state.next_attempt - now()) : alive ? left(rest) : "–";
  if ($("left").textContent !== text) {
    say("left", text);
    $("bar").setAttribute("aria-valuenow", Math.round((100 * rest) / life));
    $("bar").setAttribute("aria-valuetext", alive ? `${text} left` : "no token");
  }
}

function showHistory(history) {
  if (history.length === 0) return;
  // "15 s" stays on one line.
  const whole = (what) => what.replaceAll(/(\d) (?=\w+$)/g, "$1\u00a0");
  const line = ({ at, mood, what }) =>
    element("li", { "data-mood": mood }, element("time", { datetime: new Date(at).toISOString() }, clock(at)), " ", whole(what));
  $("history").replaceChildren(...history.slice().reverse().map(line));
}

function notes({ error, rule, replayed, client }) {
  const found = [];
  if (rule) found.push(element("span", { class: "note bad" }, `refused by ${rule}`));
  if (error) found.push(element("span", { class: "note warning" }, error));
  if (replayed) found.push(element("span", { class: "note" }, "repeated with a new token"));
  if (client) found.push(element("span", { class: "note" }, `client ${client}`));
  return found.flatMap((note) => [note, " "]);
}

/** Routes that are no paths of the API, in words. The path itself is never told: it may have ids in it. */
const ROUTES = { "-": "refused at the door", "*": "the server itself", token: "a token, answered here", other: "a path that is not known" };

function row(request, isNew) {
  const kind = Math.floor(request.status / 100);
  return element(
    "tr",
    { class: isNew ? "new" : null },
    element("td", {}, element("time", { datetime: new Date(request.at).toISOString() }, clock(request.at))),
    element("td", { class: "request" }, element("span", { class: "method" }, request.method), " ",
      ROUTES[request.route] ? element("span", { class: "words" }, ROUTES[request.route]) : request.route),
    element("td", {}, element("span", { class: "code", "data-kind": kind }, `${request.status}`)),
    element("td", { class: "number" }, duration(request.ms)),
    element("td", { class: "number" }, request.rows === null ? "" : count(request.rows)),
    element("td", {}, notes(request)),
  );
}

function showRequests({ requests, totals }, areNew) {
  const table = $("requests");
  if (requests.length > 0) {
    none.remove();
    table.prepend(...requests.map((request) => row(request, areNew)).reverse());
    while (table.rows.length > MOST) table.lastElementChild.remove();
  }
  for (const [name, total] of Object.entries(totals)) say(`total-${name}`, count(total));
}

/** Opens the stream. What comes first is everything there is, so the list begins anew. */
function connect() {
  clearTimeout(again);
  source?.close();
  let fresh = true;
  source = new EventSource("/-/events");
  source.addEventListener("open", () => {
    fresh = true;
    say("link", "Live");
    $("link").dataset.live = "true";
  });
  source.addEventListener("state", (event) => showState(JSON.parse(event.data)));
  source.addEventListener("requests", (event) => {
    const told = JSON.parse(event.data);
    // After a restart there may be none, as the counters say.
    if (fresh) $("requests").replaceChildren(none);
    showRequests(told, !fresh);
    fresh = false;
  });
  source.addEventListener("error", () => {
    say("link", "Reconnecting …");
    $("link").dataset.live = "false";
    // Told to go away, a browser does not come back by itself.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, 2000);
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button, $(button.dataset.copy).textContent));
}

// A page that nobody sees needs no connection, of which a browser has six for each site.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(again);
    source?.close();
  } else {
    connect();
  }
});

const calm = matchMedia("(prefers-reduced-motion: reduce)");
setInterval(() => showBar(), calm.matches ? 1000 : 100);
connect();
