// One alarm: what happened in which order, who was involved, what is known about them.

import { html } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { count, counted, duration } from "../lib/format.js";
import { useThrottled } from "../lib/hooks.js";
import { serviceTime, useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { Copy, Empty, Failure, Waiting } from "../parts/controls.js";
import { Progress, Risk, State } from "../parts/marks.js";
import { Json, Text, Time } from "../parts/text.js";
import { AlarmEvents } from "./alarm_events.js";
import { ruleSentence } from "./rule_sentences.js";

const INTERVAL = 2000;

/** @param {{id: string, params: Record<string, string>, session: any}} props */
export function AlarmDetail({ id, params, session }) {
  const turn = useThrottled(
    useLive((live) => live.sequence),
    INTERVAL,
  );
  const resource = useResource(`alarms/${encodeURIComponent(id)}`, {}, { again: turn });
  const { data, error } = resource;
  const close = link("alarms", "", params);
  if (!data) {
    return html`<${Bar} close=${close} />${
      error?.status === 404
        ? html`<${Empty} title="No such alarm">The history of the console has no alarm ${id}: it holds a day, and a
          bounded number of them. Older alarms are in the alarm file and in Elasticsearch.</${Empty}>`
        : html`<${Waiting} resource=${resource} />`
    }`;
  }
  const { alarm } = data;
  return html`<${Bar} close=${close}><${Copy} text=${() => location.href}>Copy link</${Copy}></${Bar}>
    <div class="scroll">
      <${Failure} error=${error} />
      <header class="alarm-head">
        <p><${Risk} risk=${alarm.risk} name=${alarm.risk_class} /> <${State} state=${alarm.state} />
          <span class="mono muted">${alarm.id}</span></p>
        <h2 class="title"><${Text} value=${alarm.title} most=${500} expand=${true} /></h2>
      </header>
      <${Facts} data=${data} />
      <${Stages} stages=${data.stages} />
      <${Addresses} data=${data} params=${params} />
      <${Hits} hits=${data.hits} />
      <${CustomData} pairs=${data.custom_data} />
      <${Changes} changes=${data.changes} />
      <${AlarmEvents} alarm=${alarm} total=${data.event_count} stages=${data.stages} template=${session.event_link} />
      <${Raw} record=${data.record} />
    </div>`;
}

function Bar({ close, children }) {
  return html`<div class="detail-bar"><a href=${close} class="close" aria-label="Close the alarm" title="Close (Esc)">
    <span class="back">‹ Alarms</span><span class="cross" aria-hidden="true">✕</span></a>${children}</div>`;
}

function Facts({ data }) {
  const { alarm } = data;
  const lasted = alarm.update_time - alarm.created_time;
  return html`<dl class="facts">
    <dt>Directive</dt><dd>${
      alarm.directive == null
        ? html`<span class="muted">not known</span>`
        : html`<a href=${link("directives", String(alarm.directive))}>${alarm.directive}</a> <${Text} value=${data.directive_name} />`
    }</dd>
    <dt>Kind</dt><dd><${Text} value=${alarm.kingdom} />, <${Text} value=${alarm.category} /></dd>
    <dt>Created</dt><dd><${Time} at=${alarm.created_time} form="full" /></dd>
    <dt>Last event</dt><dd><${Time} at=${alarm.update_time} form="full" />
      ${lasted > 0 && html`<span class="muted"> after ${duration(lasted)}</span>`}</dd>
    <dt>Status, tag</dt><dd><${Text} value=${alarm.status} />, <${Text} value=${alarm.tag} /></dd>
  </dl>`;
}

const STAGE_WORDS = {
  finished: "finished",
  current: "waits for events",
  timeout: "timed out",
  averted: "averted",
  waiting: "not reached",
};

function Stages({ stages }) {
  return html`<section><h2>Stages</h2><ol class="stage-line">${stages.map(
    (stage) => html`
    <li class="stage-${stage.state}">
      <div class="stage-title"><b>${stage.stage}. <${Text} value=${stage.name} /></b>
        <span class="state state-${stage.state}">${STAGE_WORDS[stage.state] ?? stage.state}</span></div>
      <div class="stage-progress">${
        stage.taken == null
          ? html`<span class="muted">needs ${counted(stage.needed, "event")}</span>`
          : html`<${Progress} value=${stage.taken} of=${stage.needed} />`
      }
        <${StageTimes} stage=${stage} /></div>
      <p class="muted">${ruleSentence(stage.rule)}</p>
    </li>`,
  )}</ol></section>`;
}

function StageTimes({ stage }) {
  if (stage.start_time == null) return null;
  const rest = stage.expires_time == null ? null : stage.expires_time - serviceTime();
  return html`<span class="muted"><${Time} at=${stage.start_time} form="clock" />
    ${stage.end_time != null && html` – <${Time} at=${stage.end_time} form="clock" />`}
    ${rest != null && (rest > 0 ? html`, expires in ${duration(rest)}` : ", expires now")}</span>`;
}

function Addresses({ data, params }) {
  const hits = (ip) =>
    data.hits.filter((hit) => hit.term === ip || hit.term.startsWith(`${ip}:`)).length;
  return html`<section><h2>Addresses <span class="count">${count(data.addresses.length)}</span></h2>
    <div class="table-box" tabindex="0" role="region" aria-label="Addresses"><table class="plain">
    <thead><tr><th>Address</th><th>Name</th><th>Side</th><th>Networks</th><th class="right">Value</th><th>Hits</th></tr></thead>
    <tbody>${data.addresses.slice(0, 100).map(
      (one) => html`<tr>
      <td class="mono ip"><a href=${link("alarms", "", { address: one.ip })} title="Alarms with this address"><${Text} value=${one.ip} /></a></td>
      <td><${Text} value=${one.name} /></td>
      <td>${one.source && one.destination ? "both" : one.source ? "source" : "destination"}</td>
      <td class="mono">${one.networks.join(", ")}</td>
      <td class="right num">${one.value || ""}</td>
      <td>${hits(one.ip) > 0 && html`<span class="hit">${counted(hits(one.ip), "hit")}</span>`}</td></tr>`,
    )}
    </tbody></table></div>
    ${data.addresses.length > 100 && html`<p class="muted">and ${count(data.addresses.length - 100)} more: see the raw line</p>`}
  </section>`;
}

function Hits({ hits }) {
  if (!hits.length) return null;
  return html`<section><h2>Hits of lookups <span class="count">${count(hits.length)}</span></h2><ul class="hits">
    ${hits.slice(0, 100).map(
      (
        hit,
      ) => html`<li><span class="hit">${hit.kind === "vuln" ? "vulnerability" : "intelligence"}</span>
      <b class="mono"><${Text} value=${hit.term} /></b> <${Text} value=${hit.result} most=${500} expand=${true} />
      <span class="muted">(<${Text} value=${hit.provider} />)</span></li>`,
    )}</ul></section>`;
}

function CustomData({ pairs }) {
  if (!pairs.length) return null;
  return html`<section><h2>Custom data</h2><dl class="facts">${pairs.slice(0, 100).map(
    (pair) => html`
    <dt>${pair.label ? html`<${Text} value=${pair.label} most=${60} />` : html`<span class="muted">no label</span>`}</dt>
    <dd class="mono"><${Text} value=${pair.content} most=${500} expand=${true} /></dd>`,
  )}</dl></section>`;
}

function Changes({ changes }) {
  if (changes.length < 2) return null;
  return html`<section><h2>How the risk changed</h2><ol class="changes">${changes.map(
    (change) => html`
    <li><${Time} at=${change.time} form="clock" /> <${Risk} risk=${change.risk} name=${change.risk_class} />
      <span class="muted">stage ${change.stage}, ${change.state === "timeout" ? "timed out" : change.state}</span></li>`,
  )}</ol></section>`;
}

function Raw({ record }) {
  return html`<section><details class="raw"><summary><h2>Raw line</h2></summary>
    <p><${Copy} text=${() => JSON.stringify(record)}>Copy JSON</${Copy}></p><${Json} value=${record} /></details></section>`;
}
