// The rules of a directive as sentences.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { Json, Text } from "../parts/text.js";
import { ruleSentence } from "./rule_sentences.js";

/** All rules, with their conditions as they are in the file. @param {{rules: any[]}} props */
export function Rules({ rules }) {
  return html`<ol class="stage-line">${rules.map(
    (rule) => html`<li class="stage-waiting">
    <div class="stage-title"><b>${rule.stage}. <${Text} value=${rule.name} /></b>
      <span class="muted">reliability ${rule.reliability}</span></div>
    <p>${ruleSentence(rule)}</p>
    <details class="raw"><summary>As in the file</summary><${Json} value=${rule} /></details></li>`,
  )}</ol>`;
}

/** The rule of one stage of a directive. @param {{directive: number, stage: number}} props */
export function RuleOfStage({ directive, stage }) {
  const { data } = useResource(`directives/${directive}`);
  const rule = data?.rules.find((one) => one.stage === stage);
  return rule ? html`<p class="muted">${ruleSentence(rule)}</p>` : null;
}
