// Starts the page.

import { html, render } from "./lib/html.js";
import { App } from "./app.js";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
render(html`<${App} />`, root);
