// The request just made, for a terminal and for Python.

/** A word for a POSIX shell. */
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A string of Python; JSON's escapes are Python's too. */
const python = (text) => JSON.stringify(text);

/** Header fields worth showing: `Accept` only where it changes the answer. */
const fields = (request) =>
  Object.entries(request.headers).filter(([name, value]) => name !== "Accept" || value !== "application/json");

/** `keys`: clients must show one, which this page does not know. */
export function curl({ base, keys }, request) {
  const asked = [keys && "-u any:KEY", request.method !== "GET" && `-X ${request.method}`, shell(base + request.url)];
  const parts = [`curl ${asked.filter(Boolean).join(" ")}`];
  for (const [name, value] of fields(request)) parts.push(`-H ${shell(`${name}: ${value}`)}`);
  if (request.body !== null) parts.push(`-d ${shell(request.body)}`);
  return parts.join(" \\\n  ");
}

/** A value of JSON as Python writes it. */
function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const list = Array.isArray(value);
  const items = list
    ? value.map((item) => literal(item, deeper))
    : Object.entries(value).map(([name, item]) => `${python(name)}: ${literal(item, deeper)}`);
  const [open, close] = list ? "[]" : "{}";
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => `${deeper}${item},\n`).join("")}${indent}${close}`;
}

export function pythonic({ base, keys }, request) {
  const others = fields(request).filter(([name]) => name !== "Content-Type");
  const whole = others.some(([, value]) => value === "application/x-ndjson");
  const lines = ["import requests", ""];
  const given = [`    ${python(base + request.url)},`];
  if (keys) given.push('    auth=("any", "KEY"),');
  if (others.length > 0) given.push(`    headers=${literal(Object.fromEntries(others), "    ")},`);
  if (request.body !== null) given.push(`    json=${literal(JSON.parse(request.body), "    ")},`);
  if (whole) given.push("    stream=True,");
  lines.push(`answer = requests.${request.method.toLowerCase()}(`, ...given, ")", "answer.raise_for_status()");
  if (whole) lines.push("for row in answer.iter_lines():", "    print(row.decode())");
  else lines.push("print(answer.text)");
  return lines.join("\n");
}
