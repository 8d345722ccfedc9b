// The explorer: finds an operation, shows its form, sends the request and hands the answer on.

import { Answer } from "./answer.js";
import { $, element, rowsOf } from "./common.js";
import { load, matches } from "./document.js";
import { fields, request, wrong } from "./form.js";

const { base, title, keys } = document.body.dataset;
/** Operations that the rules of the proxy deny to whoever opened this page, with the reason. */
const denied = new Map(Object.entries(JSON.parse(document.body.dataset.denied)));
let groups = [];
/** Ends the request under way. */
let running = null;

const operations = () => groups.flatMap((group) => group.operations);

// --- finding

function link(operation) {
  return element("li", {}, element("a", { href: `#${operation.id}`, "data-id": operation.id },
    element("span", { class: "verb", "data-method": operation.method }, operation.method), " ",
    element("span", { class: denied.has(operation.id) ? "denied" : null }, operation.summary,
      denied.has(operation.id) && element("span", { class: "note" }, "denied"))));
}

function showGroups() {
  const search = $("search").value.trim();
  const found = groups
    .map((group) => ({ ...group, operations: group.operations.filter((one) => matches(one, search)) }))
    .filter((group) => group.operations.length > 0);
  const current = location.hash.slice(1);
  $("groups").replaceChildren(...found.map((group) =>
    element("details", { open: search !== "" || group.operations.some((one) => one.id === current) },
      element("summary", {}, group.name, " ", element("span", { class: "hint" }, `${group.operations.length}`)),
      element("ul", {}, group.operations.map(link)))));
  const number = found.reduce((sum, group) => sum + group.operations.length, 0);
  $("found").textContent = search === "" ? `${number} operations` : number === 1 ? "1 operation found" : `${number} operations found`;
  markCurrent();
}

function markCurrent() {
  for (const one of document.querySelectorAll(".operations a")) {
    const current = one.dataset.id === location.hash.slice(1);
    if (current) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
    if (current) one.closest("details").open = true;
  }
}

/** Turns the list, and not the page, to the current operation, unless it is seen. */
function lead() {
  const [list, link] = [document.querySelector(".operations"), document.querySelector(".operations [aria-current]")];
  if (link === null) return;
  const top = link.offsetTop - list.scrollTop;
  if (top < 0 || top > list.clientHeight - 120) list.scrollTop = link.offsetTop - list.clientHeight / 2;
}

// --- asking first

/** What the request takes away or changes, if it does. */
function danger({ method, body }) {
  if (method === "DELETE") return ["Delete it?", "This deletes something in your Airbyte account, and cannot be undone.", "Delete"];
  if (method === "PUT" || method === "PATCH") return ["Change it?", "This changes something in your Airbyte account.", "Change it"];
  if (method === "POST" && /"jobType"\s*:\s*"(reset|clear|refresh)"/.test(body ?? "")) {
    return ["Start this job?", "A job of this type takes away rows that have been synchronised.", "Start it"];
  }
  return null;
}

/** Whether the user wants it. Closing the question is a no. */
function agreed(wanted) {
  const question = danger(wanted);
  if (question === null) return Promise.resolve(true);
  const dialog = $("ask");
  $("ask-title").textContent = question[0];
  $("ask-text").replaceChildren(question[1], element("code", {}, `${wanted.method} ${wanted.url}`));
  $("ask-yes").textContent = question[2];
  return new Promise((resolve) => {
    dialog.returnValue = "no";
    $("ask-no").onclick = () => dialog.close("no");
    $("ask-yes").onclick = () => dialog.close("yes");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
    $("ask-no").focus();
  });
}

// --- sending

/** Makes a request and shows its answer; the one before is given up. */
async function send(operation, wanted) {
  if (!(await agreed(wanted))) return;
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const stop = () => mine.abort();
  const answer = new Answer($("answer"), { base, keys }, send);
  answer.waiting(stop);
  const begun = performance.now();
  try {
    const response = await fetch(wanted.url, {
      method: wanted.method,
      headers: wanted.headers,
      body: wanted.body ?? undefined,
      signal: mine.signal,
      redirect: "manual",
    });
    if (response.headers.get("content-type")?.startsWith("application/x-ndjson")) {
      await readAll(answer, operation, wanted, response, begun, stop, mine);
    } else {
      const text = await response.text();
      if (running === mine) answer.show(operation, wanted, response, text, performance.now() - begun);
    }
  } catch (error) {
    if (running !== mine) return;
    if (error.name === "AbortError") answer.failed("You stopped it.");
    else answer.failed("The connection broke off. Is the proxy still running?");
  }
}

/** Reads one row a line, and counts while it does. */
async function readAll(answer, operation, wanted, response, begun, stop, mine) {
  const lines = [];
  let [rest, bytes] = ["", 0];
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      const why = error.name === "AbortError" ? "You stopped it" : "The list broke off";
      if (running === mine) answer.failed(`${why} after ${rowsOf(lines.length)}, so it is not whole.`);
      return;
    }
    if (part.done || running !== mine) break;
    bytes += part.value.length;
    const texts = (rest + decoder.decode(part.value, { stream: true })).split("\n");
    rest = texts.pop();
    for (const text of texts) if (text !== "") lines.push(text);
    answer.progress(lines.length, stop);
  }
  if (running !== mine) return;
  if (rest.trim() !== "") lines.push(rest);
  answer.showAll(operation, wanted, response, lines, performance.now() - begun, bytes);
}

// --- one operation

function submitted(operation, form, whole) {
  const fault = wrong(operation, form);
  const told = form.querySelector(".wrong");
  told.textContent = fault?.text ?? "";
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  if (fault) {
    fault.field.setAttribute("aria-invalid", "true");
    fault.field.focus();
    return;
  }
  send(operation, request(operation, form, whole));
}

/** What can be done with the form. What is denied is not tried: its answer is known, and a browser notes it as an error. */
function actions(operation, whole) {
  if (denied.has(operation.id)) return [element("button", { type: "submit", id: "anyway" }, "Send it anyway")];
  return [
    element("button", { type: "submit", id: "try", class: operation.method === "DELETE" ? "primary danger" : "primary" }, "Try it"),
    operation.pages && element("button", { type: "button", id: "all", onclick: whole }, "All pages"),
  ];
}

function denial(why) {
  return element("div", { class: "problem", id: "denied" },
    element("h2", {}, "Denied by the rules of this proxy"),
    element("p", {}, why),
    element("p", { class: "hint" }, "It is not sent unless you insist: rules may have changed since this page was opened, or make an exception for a single id."));
}

function show(operation) {
  const form = element("form", { novalidate: true },
    fields(operation),
    element("p", { class: "wrong", role: "alert" }),
    element("p", { class: "actions" }, ...actions(operation, () => submitted(operation, form, true)).filter(Boolean)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitted(operation, form, false);
  });
  const heading = element("h1", { id: "operation-title", tabindex: "-1" }, operation.summary);
  $("operation").replaceChildren(
    heading,
    element("p", { class: "path" }, element("span", { class: "verb", "data-method": operation.method }, operation.method), ` /v1${operation.path}`),
    ...(operation.description ? [element("p", { class: "lead" }, operation.description.replaceAll("`", ""))] : []),
    ...(denied.has(operation.id) ? [denial(denied.get(operation.id))] : []),
    form,
  );
  $("operation").hidden = false;
  $("welcome").hidden = true;
  $("answer").hidden = true;
  running?.abort();
  running = null;
  document.title = `${operation.summary} · ${title}`;
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "nearest" });
}

/** The address says which operation is shown, and nothing else: a link never sends anything. */
function route() {
  const wanted = operations().find((one) => one.id === location.hash.slice(1));
  markCurrent();
  lead();
  if (wanted) return show(wanted);
  if (location.hash === "#main") return;
  $("operation").hidden = true;
  $("answer").hidden = true;
  $("welcome").hidden = false;
  document.title = `Explorer · ${title}`;
}

try {
  groups = await load();
  showGroups();
  route();
  $("search").addEventListener("input", showGroups);
  addEventListener("hashchange", route);
} catch (error) {
  $("found").textContent = `${error.message}. Reload the page to try again.`;
}
