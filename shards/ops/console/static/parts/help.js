// Help: the shortcuts, and what the signs mean.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ZONE } from "../lib/format.js";
import { setShortcuts, SHORTCUTS, shortcutsOn } from "../lib/keys.js";
import { Risk } from "./marks.js";

/** @param {{session: any, onClose: () => void}} props */
export function Help({ session, onClose }) {
  const dialog = useRef(null);
  const [on, setOn] = useState(shortcutsOn());
  useEffect(() => dialog.current?.showModal(), []);
  const turn = (event) => {
    setShortcuts(event.target.checked);
    setOn(event.target.checked);
  };
  return html`<dialog ref=${dialog} class="help" onClose=${onClose} aria-labelledby="help-title">
    <h2 id="help-title">Help</h2>
    <h3>Keyboard</h3>
    <dl class="keys">${SHORTCUTS.map(([keys, what]) => html`<dt>${keys}</dt><dd>${what}</dd>`)}</dl>
    <label class="check"><input type="checkbox" checked=${on} onChange=${turn} /> Shortcuts of single keys</label>
    <h3>Signs</h3>
    <p><${Risk} name="High" /> <${Risk} name="Medium" /> <${Risk} name="Low" /> are the classes of${" "}
      <code>--med-risk-min</code> and <code>--med-risk-max</code>.</p>
    <p><span class="sign">U+202E</span> stands for a character in a text of an event that cannot be seen.</p>
    <p>Times are in your time zone (${ZONE}); hold the pointer over one for UTC.</p>
    <p class="muted">Version ${session.version}. The same data as JSON: <code>/api/v1/</code>, described${" "}
      by <a href="/console/openapi.json">openapi.json</a>.</p>
    <form method="dialog"><button class="primary">Close</button></form>
  </dialog>`;
}
