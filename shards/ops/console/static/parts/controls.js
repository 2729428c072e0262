// Controls and messages that all views use.

import { html, useEffect, useRef, useState } from "../lib/html.js";

/** A message in place of content that is not there: what it means, and what to do. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2><div>${children}</div></div>`;
}

/** Why something could not be loaded. @param {{error: any}} props */
export function Failure({ error }) {
  if (!error || error.status === 401) return null;
  const again = error.isTemporary ? " It is tried again." : "";
  return html`<p class="failure" role="alert">${sentence(error.message)}${again}</p>`;
}

/** @param {string} text */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** What to show of a resource that has no data yet. */
export function Waiting({ resource }) {
  if (resource.error) return html`<${Failure} error=${resource.error} />`;
  return html`<p class="waiting">Loading…</p>`;
}

/** A button that copies a text. @param {{text: () => string, children?: any}} props */
export function Copy({ text, children = "Copy" }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    setDone((await writeClipboard(text())) ? "Copied" : "Cannot copy here");
    setTimeout(() => setDone(""), 2000);
  };
  return html`<button type="button" class="quiet" onClick=${copy}>
    <span aria-live="polite">${done || children}</span></button>`;
}

/** The clipboard needs https or this machine; without it a hidden field is copied. */
async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

/**
 * A field that reports what is typed once typing pauses, and at once on Enter.
 * @param {{value: string, onChange: (text: string) => void, label: string, name?: string,
 *   placeholder?: string, size?: string, invalid?: string}} props
 */
export function Field({
  value,
  onChange,
  label,
  name = "",
  placeholder = "",
  size = "",
  invalid = "",
}) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  const sent = useRef(value);
  useEffect(() => {
    // A change from elsewhere, such as the back button, and not the echo of what was typed.
    if (value !== sent.current) setText(value);
    sent.current = value;
  }, [value]);
  const send = (now) => {
    clearTimeout(timer.current);
    sent.current = now.trim();
    onChange(now.trim());
  };
  const type = (event) => {
    const now = event.target.value;
    setText(now);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => send(now), 250);
  };
  const press = (event) => {
    if (event.key === "Enter") send(text);
    if (event.key === "Escape") event.target.blur();
  };
  return html`<input type="search" class="field ${size}" value=${text} aria-label=${label}
    data-search=${name === "text" ? "" : undefined} placeholder=${placeholder || label} title=${invalid || label}
    aria-invalid=${invalid ? "true" : undefined} spellcheck="false" autocomplete="off"
    maxlength="200" onInput=${type} onKeyDown=${press} />`;
}

/** A choice of a few values. @param {{value: string, choices: [string, string][], label: string, onChange: (value: string) => void}} props */
export function Choice({ value, choices, label, onChange }) {
  return html`<label class="choice"><span>${label}</span><select value=${value}
    onChange=${(event) => onChange(event.target.value)}>${choices.map(
      ([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`,
    )}</select></label>`;
}

/** On narrow screens, a button that shows the other filters. */
export const Unfold = ({ open, setOpen }) =>
  html`<button type="button" class="unfold" aria-expanded=${open} onClick=${() => setOpen(!open)}>Filters</button>`;

/** Links between kinds of a list, with their numbers. */
export function Tabs({ tabs, label }) {
  return html`<nav class="tabs" aria-label=${label}>${tabs.map(
    (tab) =>
      html`<a href=${tab.href} aria-current=${tab.current ? "true" : undefined}>${tab.text}
      ${tab.count != null && html` <span class="num count">${tab.count.toLocaleString("en")}</span>`}</a>`,
  )}</nav>`;
}

/** Put the cursor into the search field of the view. */
export function focusSearch(event) {
  const field = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-search]"));
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}
