// What both pages use. No library, no request to anywhere but this proxy.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** Copies a text, and says so on the button for a moment. */
export async function copy(button, text) {
  const label = button.firstChild;
  const before = label.textContent;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS, browsers let pages of this machine alone write to the clipboard.
    said = "Select it and copy";
  }
  label.textContent = said;
  button.disabled = true;
  setTimeout(() => {
    label.textContent = before;
    button.disabled = false;
  }, 1200);
}

/** 950 → "950 ms", 61000 → "61.0 s". */
export function duration(ms) {
  if (ms < 1) return "< 1 ms";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** 2048 → "2.0 KiB". */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** 1 → "1 row". */
export const rowsOf = (number) => `${count(number)} ${number === 1 ? "row" : "rows"}`;

/** 12000 → "12,000", as the reader's language has it. */
export const count = (number) => number.toLocaleString();
