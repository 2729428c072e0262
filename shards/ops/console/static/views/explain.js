// What a directive would make of an event: pasted, picked from those that came last, or made from
// its rules. Nothing changes by it.

import { html, useState } from "../lib/html.js";
import { request, useResource } from "../lib/api.js";
import { count } from "../lib/format.js";
import { serviceTime } from "../lib/live.js";
import { link } from "../lib/router.js";
import { sentence } from "../parts/controls.js";
import { Text, tip } from "../parts/text.js";

/** @param {{directive: number, rules: any[]}} props */
export function Explain({ directive, rules }) {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const ask = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      setAnswer(await request("explain", { method: "POST", body: text, params: { directive } }));
    } catch (failure) {
      setAnswer(failure.document?.verdicts ? failure.document : null);
      if (!failure.document?.verdicts || failure.status !== 400) setError(failure.message);
    }
    setBusy(false);
  };
  const choose = (event) => {
    setText(JSON.stringify(event, null, 2));
    setAnswer(null);
  };
  return html`<section class="explain"><h2>Why did it not fire?</h2>
    <form onSubmit=${ask}>
      <label for="explained">Paste an event as JSON, or take one:</label>
      <div class="picks">${rules.map(
        (rule) => html`<button type="button" class="quiet" onClick=${() => choose(exampleOf(rule))}>
        example for stage ${rule.stage}</button>`,
      )}<${RecentEvents} directive=${directive} onPick=${choose} /></div>
      <textarea id="explained" class="mono" rows="8" spellcheck="false" maxlength="48000" value=${text}
        onInput=${(event) => setText(event.target.value)}></textarea>
      <p><button type="submit" class="primary" disabled=${busy || !text.trim()}>Explain</button>
        <span class="muted"> asks the open backlogs; nothing changes by it</span></p>
    </form>
    <div role="status">${error && html`<p class="failure">${sentence(error)}</p>`}${answer && html`<${Answer} answer=${answer} />`}</div>
  </section>`;
}

/** Events that came last, if the service tells. */
function RecentEvents({ directive, onPick }) {
  const [open, setOpen] = useState(false);
  const { data, error } = useResource(open ? "recent-events" : null, { directive, limit: 20 });
  if (!open)
    return html`<button type="button" class="quiet" onClick=${() => setOpen(true)}>recent events …</button>`;
  if (error) return html`<span class="muted">${sentence(error.message)}</span>`;
  if (!data) return html`<span class="muted">Loading…</span>`;
  if (!data.events.length)
    return html`<span class="muted">No event for this directive has come lately.</span>`;
  return html`<select aria-label="Recent events" onChange=${(change) => change.target.value && onPick(data.events[change.target.value])}>
    <option value="">recent events …</option>${data.events.map((event, n) => html`<option value=${n}>${tip(nameOf(event))}</option>`)}</select>`;
}

const nameOf = (event) =>
  [event.timestamp, event.src_ip, "→", event.dst_ip, event.title].filter(Boolean).join(" ");

/** An event that meets the simple conditions of a rule. */
export function exampleOf(rule) {
  const event = {
    event_id: "example-1",
    timestamp: new Date(serviceTime() * 1000).toISOString(),
    sensor: "console",
    src_ip: addressFor(rule.from, "203.0.113.99"),
    dst_ip: addressFor(rule.to, "10.0.0.10"),
  };
  if (rule.type === "TaxonomyRule") {
    Object.assign(event, {
      product: rule.product?.[0] ?? "",
      category: rule.category,
      subcategory: rule.subcategory?.[0] ?? "",
    });
  } else {
    Object.assign(event, { plugin_id: rule.plugin_id, plugin_sid: rule.plugin_sid?.[0] ?? 0 });
  }
  const port = /^\d+/.exec(rule.port_to ?? "");
  if (port) event.dst_port = Number(port[0]);
  for (const n of [1, 2, 3]) {
    const text = first(rule[`custom_data${n}`] ?? "");
    if (text)
      Object.assign(event, {
        [`custom_data${n}`]: text,
        [`custom_label${n}`]: rule[`custom_label${n}`] ?? "",
      });
  }
  return event;
}

/** The first plain item of a condition; "" if there is none. */
const first = (condition) =>
  condition
    .split(",")
    .map((item) => item.trim())
    .find((item) => item && item !== "ANY" && !/^[!:]/.test(item)) ?? "";

function addressFor(condition, other) {
  const item = first(condition ?? "");
  return /^[\da-f.:]+$/i.test(item) ? item : other;
}

function Answer({ answer }) {
  const { verdicts, directives = [], shards_missing: missing = [] } = answer;
  return html`<div class="answer">
    ${verdicts.map((verdict) => html`<${Verdict} verdict=${verdict} />`)}
    ${directives.map(
      (
        one,
      ) => html`<div><p class="muted">${count(one.open_backlogs)} open backlogs at worker-${one.shard}${
        one.backlogs_unasked ? `, ${count(one.backlogs_unasked)} were not asked` : ""
      }</p>
      ${one.verdicts.map((verdict) => html`<${Verdict} verdict=${verdict} />`)}
      ${one.verdicts_omitted > 0 && html`<p class="muted">and ${count(one.verdicts_omitted)} more</p>`}</div>`,
    )}
    ${missing.length > 0 && html`<p class="failure">Not answered: ${missing.map((n) => `worker-${n}`).join(", ")}</p>`}
  </div>`;
}

const GOOD = ["opened", "taken", "finished", "revisited"];

/** A verdict in words; of a refusal also the condition, what it wants and what it got. */
function Verdict({ verdict }) {
  const kind = GOOD.includes(verdict.verdict) ? "good" : "refused";
  const where = verdict.stage ? `Stage ${verdict.stage}` : "";
  return html`<div class="verdict ${kind}"><p><b>${where}${where && ": "}${describe(verdict)}</b>
      ${verdict.backlog && html` <a class="mono" href=${link("alarms", verdict.backlog)}>${verdict.backlog}</a>`}</p>
    ${verdict.detail && html`<p><${Text} value=${verdict.detail} most=${500} /></p>`}
    ${verdict.refusal && html`<${Refusal} refusal=${verdict.refusal} />`}</div>`;
}

function Refusal({ refusal }) {
  return html`<dl class="facts"><dt>Condition</dt><dd class="mono">${refusal.field}: <${Text} value=${refusal.rule} /></dd>
    ${refusal.wants !== refusal.rule && html`<dt>Stands for</dt><dd class="mono"><${Text} value=${refusal.wants} /></dd>`}
    <dt>Got</dt><dd class="mono">${refusal.got ? html`<${Text} value=${refusal.got} />` : html`<span class="muted">nothing</span>`}</dd>
    <dt>Met</dt><dd>${refusal.met} of ${refusal.conditions} conditions</dd></dl>`;
}

/** @param {any} verdict */
export function describe(verdict) {
  const of = ` (${verdict.count} of ${verdict.needed})`;
  const words = {
    invalid: "the event is invalid",
    whitelisted: "dropped: its source is in a whitelisted asset",
    unmatched: "no rule has its plugin_id and plugin_sid, or its product and category",
    opened: "it would open a backlog",
    taken: `it would be taken${of}`,
    finished: `it would be taken${of}, and finish the stage`,
    revisited: "it would be taken at an earlier stage",
    repeated: "a repeat: the directive has taken this event before",
    suppressed: "suppressed: an alarm with the same values is not long ago",
    sticky_seen: `not counted${of}: sticky_different wants a new value`,
    out_of_order: `out of order: ${verdict.seconds} s before the end of the previous stage`,
    too_late: `not counted: ${verdict.seconds} s after the timeout of the absent stage`,
    averted: `it would be taken${of}, and close the backlog: the absent stage cannot finish`,
    expired_before: `too late: ${verdict.seconds} s after the timeout of the stage`,
    no_match: "a condition refuses it",
  };
  return words[verdict.verdict] ?? verdict.verdict;
}
