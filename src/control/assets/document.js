// What the API has, from /-/openapi.json, in the form in which the explorer needs it.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Follows a reference within the document. */
function resolved(document, value) {
  let found = value;
  while (found?.$ref) {
    found = found.$ref.slice(2).split("/").reduce((part, name) => part?.[name], document);
  }
  return found ?? {};
}

/** "SourceDefinitions" → "Source definitions", "embedded_widget" → "Embedded widget". */
const words = (name) =>
  name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, (_, end, start) => `${end} ${start.toLowerCase()}`).replace(/^./, (first) => first.toUpperCase());

function parameter(document, written) {
  const found = resolved(document, written);
  const schema = resolved(document, found.schema);
  return {
    name: found.name,
    in: found.in,
    required: found.required === true,
    description: found.description ?? schema.description ?? "",
    schema: { ...schema, items: schema.items && resolved(document, schema.items) },
  };
}

/** The body that is sent: JSON, and the example that the document has. */
function body(document, operation) {
  if (!operation.requestBody) return null;
  const { content = {}, required = false } = resolved(document, operation.requestBody);
  const json = content["application/json"] ?? {};
  const example = json.example ?? resolved(document, json.schema).examples?.[0] ?? {};
  return { required, example: JSON.stringify(example, null, 2) };
}

function operation(document, path, method, written) {
  const parameters = (written.parameters ?? []).map((one) => parameter(document, one));
  return {
    id: written.operationId,
    method: method.toUpperCase(),
    path,
    summary: written.summary ?? written.operationId,
    description: written.description ?? "",
    tag: words(written.tags?.[0] ?? "Others"),
    // What `Prefer` does, the button for all pages does.
    parameters: parameters.filter((one) => one.in !== "header"),
    body: body(document, written),
    // Lists that come in pages can be had whole.
    pages: parameters.some((one) => one.name === "limit"),
  };
}

/** Groups of operations, in the document's order. */
export async function load() {
  const response = await fetch("/-/openapi.json");
  if (!response.ok) throw new Error(`The description of the API cannot be had: ${response.status}`);
  const document = await response.json();
  const groups = new Map((document.tags ?? []).map((tag) => [words(tag.name), { name: words(tag.name), operations: [] }]));
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const found = operation(document, path, method, item[method]);
      if (!groups.has(found.tag)) groups.set(found.tag, { name: found.tag, operations: [] });
      groups.get(found.tag).operations.push(found);
    }
  }
  return [...groups.values()].filter((group) => group.operations.length > 0);
}

/** Whether all words of the search are somewhere in what identifies the operation. */
export function matches(operation, search) {
  const text = `${operation.summary} ${operation.id} ${operation.method} ${operation.path} ${operation.tag}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
