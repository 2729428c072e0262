// Flow: where events are and what became of them, what is wrong, and the last day.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, duration, latency, rate } from "../lib/format.js";
import { useTick, useTitle } from "../lib/hooks.js";
import { serviceTime, useLive } from "../lib/live.js";
import { Failure, sentence, Waiting } from "../parts/controls.js";
import { troublesOf } from "./flow_advice.js";
import { FlowHistory } from "./flow_history.js";
import { FlowPicture } from "./flow_picture.js";
import { Text } from "../parts/text.js";

/** @param {{place: import("../lib/router.js").Place}} props */
export function FlowView({ place }) {
  useTitle("Flow");
  useTick(1);
  const live = useLive((now) => now.flow);
  const first = useResource(live ? null : "flow");
  const flow = live ?? first.data;
  if (!flow) return html`<div class="scroll page"><${Waiting} resource=${first} /></div>`;
  return html`<div class="scroll page">
    <${Failure} error=${live ? null : first.error} />
    <${Health} flow=${flow} />
    <${FlowPicture} flow=${flow} />
    <${Troubles} flow=${flow} />
    <${FlowHistory} params=${place.params} />
  </div>`;
}

/** The state in a sentence, and the numbers that tell most. */
function Health({ flow }) {
  const age =
    flow.checkpoint.time == null ? null : Math.max(0, serviceTime() - flow.checkpoint.time);
  const problems = [...flow.missing, ...flow.stuck];
  return html`<section class="health-row" aria-label="State">
    <div class="state-card ${problems.length ? "bad" : flow.warnings.length ? "warn" : "good"}">
      <b>${flow.stopping ? "Stopping" : problems.length ? "Not ready" : "Ready"}</b>
      ${problems.map((text) => html`<p><${Text} value=${sentence(text)} /></p>`)}
      ${flow.warnings.map((text) => html`<p><${Text} value=${sentence(text)} /></p>`)}
      ${!problems.length && !flow.warnings.length && html`<p>Every event is accounted for, nothing is stuck.</p>`}</div>
    <${Figure} name="Events" value=${rate(flow.events_per_second)} />
    ${flow.latency.p50 != null && html`<${Figure} name="Latency, p50 / p99" value="${latency(flow.latency.p50)} / ${latency(flow.latency.p99)}" />`}
    <${Figure} name="Last checkpoint" value=${age == null ? "none yet" : `${duration(age)} ago`} bad=${age != null && age > 60} />
    ${flow.source.lag != null && html`<${Figure} name="Stream lag" value=${count(flow.source.lag)} />`}
    <${Figure} name="Up for" value=${duration(flow.uptime_seconds)} />
  </section>`;
}

function Figure({ name, value, bad = false }) {
  return html`<div class="figure ${bad ? "bad" : ""}"><span class="muted">${name}</span><b class="num">${value}</b></div>`;
}

/** Each count that should be 0 and is not, with what it means and what to do. */
function Troubles({ flow }) {
  const troubles = troublesOf(flow);
  return html`<section class="card"><h2>What should be 0, and is not</h2>
    ${
      !troubles.length
        ? html`<p class="muted">Nothing: no event or delivery is lost, dropped or rolled back, and no process died.</p>`
        : html`<div class="table-box" tabindex="0" role="region" aria-label="Troubles"><table class="plain troubles">
        <thead><tr><th>What</th><th class="right">Since the start</th><th class="right">Now</th><th>What it means, and what to do</th></tr></thead>
        <tbody>${troubles.map(
          (one) => html`<tr key=${one.path} class=${one.kind}>
          <td><b><span class="sign-mark" aria-hidden="true">${one.kind === "bad" ? "▲" : "●"}</span> <${Text} value=${one.name} /></b></td>
          <td class="right num">${one.shown ?? count(one.value)}</td><td class="right num">${one.rate ? rate(one.rate) : "–"}</td>
          <td>${one.advice}</td></tr>`,
        )}</tbody></table></div>`
    }</section>`;
}
