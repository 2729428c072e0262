// Faults and warnings of the configuration, in place: file, line, column, and the lines around it.

import { html } from "../lib/html.js";
import { sentence } from "../parts/controls.js";
import { Text } from "../parts/text.js";

/** @param {{problems: any[], unlisted: string}} props */
export function Problems({ problems, unlisted }) {
  if (!problems.length) return null;
  return html`<ol class="problems">${problems.slice(0, 200).map((problem) => html`<${Problem} problem=${problem} />`)}</ol>
    ${unlisted && html`<p class="muted">${sentence(unlisted)}</p>`}`;
}

function Problem({ problem }) {
  const where = [
    problem.directive != null && `directive ${problem.directive}`,
    problem.stage != null && `stage ${problem.stage}`,
    problem.field,
  ]
    .filter(Boolean)
    .join(", ");
  return html`<li class="problem ${problem.severity}">
    <p><span class="tag ${problem.severity === "fault" ? "bad" : "warn"}">${problem.severity}</span>
      <span class="mono"><${Text} value=${problem.file} />:${problem.line}:${problem.column}</span>
      <span class="muted">${problem.code}${where && ` · ${where}`}</span></p>
    <p><${Text} value=${problem.message} most=${1000} /></p>
    ${problem.excerpt?.lines.length > 0 && html`<${Excerpt} problem=${problem} />`}</li>`;
}

/** The lines around a problem, with a caret below its column. */
function Excerpt({ problem }) {
  const { first_line: first, first_column: begin = 1, lines } = problem.excerpt;
  return html`<pre class="excerpt" tabindex="0">${lines.map((line, n) => {
    const number = first + n;
    const here = number === problem.line;
    return html`<div class=${here ? "here" : ""}><span class="line-number">${number}</span><${Text} value=${line} most=${400} /></div>${
      here &&
      html`<div class="caret" aria-hidden="true"><span class="line-number"></span>${" ".repeat(Math.max(0, problem.column - begin))}^</div>`
    }`;
  })}</pre>`;
}
