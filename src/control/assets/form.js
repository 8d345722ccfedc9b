// Parameters and body of an operation as a form, and the request that is made of it.

import { element } from "./common.js";

/** Ids that answers have shown, by the name of the parameter that wants them, each with what it is called. */
const seen = new Map();

/** Remembers the ids in rows, so that they can be chosen instead of typed. */
export function remember(rows) {
  for (const row of rows.slice(0, 100)) {
    if (row === null || typeof row !== "object") continue;
    for (const [name, value] of Object.entries(row)) {
      if (!/Ids?$/.test(name) || (typeof value !== "string" && typeof value !== "number")) continue;
      if (!seen.has(name)) seen.set(name, new Map());
      const known = seen.get(name);
      // The row's own id is the first of its members; others only refer.
      if (Object.keys(row)[0] === name || !known.has(`${value}`)) {
        known.set(`${value}`, Object.keys(row)[0] === name ? (row.name ?? "") : (known.get(`${value}`) ?? ""));
      }
    }
  }
  for (const list of document.querySelectorAll("datalist")) fill(list);
}

function fill(list) {
  const known = seen.get(list.dataset.for) ?? seen.get(list.dataset.for.replace(/s$/, "")) ?? new Map();
  list.replaceChildren(...[...known].map(([value, label]) => element("option", { value, label: label || null })));
}

/** In words, what may be written, where the description does not say so. */
function kind({ schema, description }) {
  if (schema.enum) return "one of a few";
  if (schema.type === "array") return description.includes("commas") ? "" : "several, separated by commas";
  if (schema.type === "object") return "name=value, several with &";
  if (schema.format === "date-time") return "date and time, e.g. 2026-01-31T12:00:00Z";
  if (schema.anyOf) return "a number, or all";
  return { integer: "a whole number", number: "a number", boolean: "yes or no" }[schema.type] ?? "";
}

function input(parameter, id) {
  const { schema } = parameter;
  const common = { id, name: parameter.name, required: parameter.required, "aria-describedby": `${id}-help` };
  const choices = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  if (choices) {
    return element("select", common, element("option", { value: "" }, parameter.required ? "choose …" : "not set"),
      choices.map((choice) => element("option", { value: `${choice}` }, `${choice}`)));
  }
  return element("input", {
    ...common,
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    list: `${id}-list`,
    inputmode: schema.type === "integer" ? "numeric" : null,
    placeholder: schema.default === undefined ? null : `${schema.default}`,
  });
}

function field(parameter) {
  const id = `parameter-${parameter.name.replace(/\W/g, "-")}`;
  const list = element("datalist", { id: `${id}-list`, "data-for": parameter.name });
  fill(list);
  return element(
    "div",
    { class: "field" },
    element("label", { for: id }, parameter.name, parameter.required && element("span", { class: "required" }, " required")),
    input(parameter, id),
    element("p", { class: "hint", id: `${id}-help` }, `${parameter.description.replaceAll("`", "")} ${kind(parameter) && `(${kind(parameter)})`}`),
    list,
  );
}

/** The form's fields. */
export function fields(operation) {
  const inPath = operation.parameters.filter((one) => one.in === "path");
  const inQuery = operation.parameters.filter((one) => one.in === "query");
  return [
    inPath.length > 0 && element("fieldset", {}, element("legend", {}, "Which one"), inPath.map(field)),
    inQuery.length > 0 && element("fieldset", {}, element("legend", {}, "Filters and pages"), inQuery.map(field)),
    operation.body && element(
      "fieldset",
      {},
      element("legend", {}, "What to send"),
      element("div", { class: "field wide" },
        element("label", { for: "body" }, "Body, as JSON"),
        element("textarea", { id: "body", spellcheck: "false", rows: Math.min(20, operation.body.example.split("\n").length + 1) }, operation.body.example),
        element("p", { class: "hint" }, "An example: put in your own ids and values.")),
    ),
  ];
}

/** What is wrong with the form, for people; nothing if it can be sent. */
export function wrong(operation, form) {
  const missing = operation.parameters.find((one) => one.required && form.elements[one.name].value.trim() === "");
  if (missing) return { field: form.elements[missing.name], text: `${missing.name} is required.` };
  const body = form.elements.body;
  if (!operation.body || body.value.trim() === "") return null;
  try {
    JSON.parse(body.value);
    return null;
  } catch (error) {
    return { field: body, text: `The body is not JSON: ${error.message}` };
  }
}

/** The request: method, address below this proxy, header fields and body. `whole` asks for all pages. */
export function request(operation, form, whole) {
  const query = [];
  let { path } = operation;
  for (const { name, in: place, schema } of operation.parameters) {
    const value = form.elements[name].value.trim();
    if (place === "path") {
      path = path.replace(`{${name}}`, encodeURIComponent(value));
    } else if (value !== "" && !(whole && ["limit", "offset"].includes(name))) {
      if (schema.type === "object") query.push(...new URLSearchParams(value));
      else query.push([name, value]);
    }
  }
  if (whole) query.push(["limit", "all"]);
  // Commas and colons are fine in a query, and easier to read.
  const escaped = (text) => encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%3A", ":");
  const pairs = query.map(([name, value]) => `${escaped(name)}=${escaped(value)}`).join("&");
  const body = operation.body ? form.elements.body.value.trim() : "";
  const headers = { Accept: whole ? "application/x-ndjson" : "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  return { method: operation.method, url: `/v1${path}${pairs && `?${pairs}`}`, headers, body: body || null };
}
