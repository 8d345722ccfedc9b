// An answer: shown, followed to its other pages, read whole, and saved.

import { copy, count, duration, element, rowsOf, size } from "./common.js";
import { remember } from "./form.js";
import { curl, pythonic } from "./snippets.js";

/** Rows of a whole list that are shown; all of them can be saved. */
const SHOWN = 100;
/** Longest text that is coloured; longer ones are shown as they are. */
const COLOURED = 200_000;

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;

/** JSON with line breaks, as nodes. Numbers stay as they were written, however long. */
function pretty(text) {
  const out = document.createDocumentFragment();
  const tokens = text.match(TOKENS) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    const [before, after] = [tokens[at - 1], tokens[at + 1]];
    if ("}]".includes(token)) {
      depth -= 1;
      out.append(before === "{" || before === "[" ? token : line() + token);
    } else if ("{[".includes(token)) {
      depth += 1;
      out.append(token + (after === "}" || after === "]" ? "" : line()));
    } else if (token === ",") out.append(`,${line()}`);
    else if (token === ":") out.append(": ");
    else {
      const kind = token[0] !== '"' ? "literal" : after === ":" ? "key" : "string";
      out.append(element("span", { class: `json-${kind}` }, token));
    }
  });
  return out;
}

function shown(text) {
  try {
    const value = JSON.parse(text);
    return text.length > COLOURED ? JSON.stringify(value, null, 2).slice(0, 4 * COLOURED) : pretty(text);
  } catch {
    return text === "" ? "(nothing)" : text.slice(0, COLOURED);
  }
}

/** A cell of CSV: quoted where needed, and never a formula to a spreadsheet. */
function cell(value) {
  if (value === null || value === undefined) return "";
  let text = typeof value === "object" ? JSON.stringify(value) : `${value}`;
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row ?? {})))];
  const lines = [columns.map(cell).join(","), ...rows.map((row) => columns.map((name) => cell(row?.[name])).join(","))];
  return `${lines.join("\r\n")}\r\n`;
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Below the answer: what it was, and what can be done with it. */
export class Answer {
  /** `place` is the element; `proxy` how it is reached; `send` makes another request and shows its answer in here. */
  constructor(place, proxy, send) {
    Object.assign(this, { place, proxy, send });
    this.status = element("p", { class: "result", role: "status" });
    this.content = element("div");
    place.replaceChildren(element("h2", { id: "answer-title" }, "Answer"), this.status, this.content);
    place.hidden = false;
  }

  /** Until the answer is there. */
  waiting(stop) {
    this.place.setAttribute("aria-busy", "true");
    this.status.replaceChildren(element("span", { class: "busy" }, "Waiting for the answer …"), " ",
      element("button", { type: "button", onclick: stop }, "Stop"));
    this.content.replaceChildren();
    this.status.scrollIntoView({ block: "nearest" });
  }

  progress(rows, stop) {
    this.status.replaceChildren(element("span", { class: "busy" }, `${rowsOf(rows)} so far …`), " ",
      element("button", { type: "button", onclick: stop }, "Stop"));
  }

  /** No answer, or not all of it. */
  failed(text) {
    this.place.removeAttribute("aria-busy");
    this.status.replaceChildren(element("span", { class: "code", "data-kind": "5" }, "no answer"), ` ${text}`);
  }

  told(response, ms, bytes, more = "") {
    this.place.removeAttribute("aria-busy");
    const name = `${response.status} ${response.statusText}`.trim();
    this.status.replaceChildren(
      element("span", { class: "code", id: "answer-status", "data-kind": Math.floor(response.status / 100) }, name),
      ` ${more}${duration(ms)}, ${size(bytes)}`,
      response.status >= 400 && !response.headers.has("proxy-status") ? ", said by Airbyte" : "",
    );
  }

  /** One answer, read to its end. */
  show(operation, request, response, text, ms) {
    this.told(response, ms, new TextEncoder().encode(text).length);
    let value = null;
    try {
      value = JSON.parse(text);
    } catch {
      // Shown as it is.
    }
    const rows = Array.isArray(value?.data) ? value.data : null;
    if (rows) remember(rows);
    else if (value && response.ok) remember([value]);
    const problem = response.headers.get("content-type")?.startsWith("application/problem+json") && value;
    this.content.replaceChildren(
      ...[
        problem ? this.problem(response, problem) : "",
        rows ? this.pages(operation, value, rows) : "",
        rows ? this.downloads(operation, rows, text) : "",
        this.body(shown(text)),
        this.snippets(request),
      ].filter((part) => part !== ""),
    );
  }

  /** All pages, one row a line. */
  showAll(operation, request, response, lines, ms, bytes) {
    this.told(response, ms, bytes, `All ${rowsOf(lines.length)}, `);
    const rows = lines.slice(0, SHOWN).map((line) => JSON.parse(line));
    remember(rows);
    const first = lines.length > SHOWN && element("p", { class: "hint" }, `The first ${SHOWN} rows; a download has all ${count(lines.length)}.`);
    this.content.replaceChildren(
      this.downloads(operation, () => lines.map((line) => JSON.parse(line)), () => `[\n${lines.join(",\n")}\n]\n`),
      ...(first ? [first] : []),
      this.body(shown(`[${lines.slice(0, SHOWN).join(",")}]`)),
      this.snippets(request),
    );
  }

  /** Whose problem it is, in words. */
  problem(response, { title, detail }) {
    const ours = response.headers.has("proxy-status");
    const denied = ours && response.status === 403;
    const heading = denied ? "Denied by the rules of this proxy" : (title ?? "Something is wrong");
    return element("div", { class: "problem", role: "alert", "data-denied": denied },
      element("h3", {}, heading), detail && element("p", {}, detail),
      element("p", { class: "hint" }, ours ? "Said by the proxy, not by Airbyte." : "Said by Airbyte."));
  }

  /** The links of the list. Their paths are enough: they lead to this proxy. */
  pages(operation, { next, previous }, rows) {
    const button = (name, link) => {
      const target = link ? new URL(link, location.href) : null;
      const go = () => this.send(operation, { method: "GET", url: target.pathname + target.search, headers: { Accept: "application/json" }, body: null });
      return element("button", { type: "button", id: `page-${name.toLowerCase()}`, disabled: !target, onclick: go }, name);
    };
    const known = [previous !== undefined && button("Previous", previous), next !== undefined && button("Next", next)];
    return element("div", { class: "pages" }, element("span", {}, rowsOf(rows.length)), known);
  }

  downloads(operation, rows, text) {
    const value = (given) => (typeof given === "function" ? given() : given);
    const name = operation.id.replace(/^list/, "").toLowerCase();
    return element("div", { class: "pages" },
      element("button", { type: "button", onclick: () => save(`${name}.json`, "application/json", value(text)) }, "Save as JSON"),
      element("button", { type: "button", onclick: () => save(`${name}.csv`, "text/csv;charset=utf-8", csv(value(rows))) }, "Save as CSV"));
  }

  body(content) {
    return element("pre", { tabindex: "0", role: "region", "aria-label": "Body of the answer", class: "body" }, content);
  }

  snippets(request) {
    const one = (name, text) => {
      const button = element("button", { type: "button" }, "Copy", element("span", { class: "unseen" }, ` the request for ${name}`));
      button.addEventListener("click", () => copy(button, text));
      return element("div", { class: "snippet" },
        element("div", { class: "card-head" }, element("h3", {}, name), button),
        element("pre", { tabindex: "0", role: "region", "aria-label": `The request for ${name}` }, text));
    };
    return element("div", { class: "snippets" },
      one("curl", curl(this.proxy, request)), one("Python", pythonic(this.proxy, request)));
  }
}
