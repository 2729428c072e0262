// Config: the effective settings with their sources, the files, and a reload with its faults.

import { html, useEffect, useState } from "../lib/html.js";
import { request, useResource } from "../lib/api.js";
import { count, counted } from "../lib/format.js";
import { useTitle } from "../lib/hooks.js";
import { useKeys } from "../lib/keys.js";
import { useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { Empty, Failure, Field, focusSearch, sentence, Tabs, Waiting } from "../parts/controls.js";
import { Text, Time } from "../parts/text.js";
import { Problems } from "./problems.js";

const SOURCES = {
  default: "default",
  flag: "flag",
  variable: "variable",
  file: "settings file",
  derived: "derived",
};

/** @param {{place: import("../lib/router.js").Place, session: any}} props */
export function ConfigView({ place, session }) {
  useTitle("Config");
  useKeys({ "/": focusSearch });
  const generation = useLive((live) => live.generation);
  const resource = useResource("config", {}, { again: generation });
  const { data, error } = resource;
  if (!data) return html`<div class="scroll page"><${Waiting} resource=${resource} /></div>`;
  return html`<div class="scroll page">
    <${Failure} error=${error} />
    <${Running} config=${data} session=${session} onReload=${resource.reload} />
    <${Files} config=${data} />
    <${Settings} settings=${data.settings} params=${place.params} />
  </div>`;
}

function Running({ config, session, onReload }) {
  return html`<section class="card"><h2>Configuration</h2>
    ${config.trouble && html`<p class="failure">${sentence(config.trouble)}</p>`}
    <dl class="facts">
      <dt>Folder</dt><dd class="mono"><${Text} value=${config.folder} /></dd>
      <dt>Generation</dt><dd>${config.generation}, loaded <${Time} at=${config.loaded_time} form="full" /></dd>
      <dt>Holds</dt><dd>${counted(config.directives, "directive")}${config.rejected > 0 && html` <span class="bad-text">(${count(config.rejected)} rejected)</span>`}, ${counted(
        config.assets,
        "asset",
      )}</dd>
      <dt>Hash</dt><dd class="mono muted"><${Text} value=${config.hash} /></dd>
      <dt>Version</dt><dd>${config.version}</dd>
    </dl>
    ${config.can_reload && html`<${Reload} last=${config.last_reload} writes=${session.writes} onDone=${onReload} />`}</section>`;
}

/** A button that reads the files again, and what came of it. */
function Reload({ last, writes, onDone }) {
  const [result, setResult] = useState(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const reload = async () => {
    setBusy(true);
    setError("");
    setResult(null);
    try {
      setResult(await request("reload", { method: "POST" }));
      onDone();
    } catch (failure) {
      if (failure.document?.outcome) setResult(failure.document);
      else setError(failure.message);
    }
    setBusy(false);
  };
  useEffect(() => setError(""), [writes]);
  const shown = result ?? last;
  return html`<p><button type="button" class="primary" onClick=${reload} disabled=${busy || !writes}>
      ${busy ? "Reading the files…" : "Reload the configuration"}</button>
      ${!writes && html` <span class="muted">needs a token: start the service with <code>--api-token</code>, and log in</span>`}</p>
    <div role="status">${error && html`<p class="failure">${sentence(error)}</p>`}
      ${shown && html`<${Outcome} reload=${shown} />`}</div>`;
}

function Outcome({ reload }) {
  const refused = reload.outcome === "refused";
  return html`<div class="outcome ${refused ? "bad" : "good"}"><p><b>${
    refused
      ? "Refused: the running configuration stays as it is."
      : reload.outcome === "unchanged"
        ? "Nothing has changed."
        : `Generation ${reload.generation} runs.`
  }</b>
      <span class="muted"> <${Time} at=${reload.time} />, ${count(Math.round(reload.milliseconds))} ms</span></p>
    ${
      !refused &&
      reload.outcome !== "unchanged" &&
      html`<p>${counted(reload.added, "directive")} added, ${count(reload.changed)} changed, ${count(
        reload.removed,
      )} removed, ${count(reload.unchanged)} as before${reload.assets_changed ? "; assets have changed" : ""}.</p>`
    }
    ${reload.error && html`<p>${sentence(reload.error)}</p>`}
    <${Problems} problems=${reload.problems} unlisted=${reload.unlisted ?? ""} /></div>`;
}

function Files({ config }) {
  if (!config.files.length) return null;
  return html`<section class="card"><h2>Files</h2><table class="plain"><thead><tr><th>File</th><th>Kind</th><th class="right">Entries</th></tr></thead>
    <tbody>${config.files.slice(0, 500).map(
      (file) => html`<tr><td class="mono"><${Text} value=${file.name} /></td><td>${file.kind}</td>
      <td class="right num">${count(file.items)}</td></tr>`,
    )}</tbody></table></section>`;
}

function Settings({ settings, params }) {
  const { text = "", kind = "all" } = params;
  const to = (changes) => link("config", "", { ...params, ...changes });
  const changed = settings.filter((one) => one.source !== "default");
  const found = (kind === "set" ? changed : settings).filter((one) => matches(one, text));
  const groups = [...new Set(found.map((one) => one.group))];
  return html`<section class="card"><h2>Settings</h2>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} name="text" label="Search settings" placeholder="Search settings  ( / )" size="wide" value=${text}
        onChange=${(now) => go(to({ text: now }), { replace: true })} />
      <${Tabs} label="Kind" tabs=${[
        { text: "All", count: settings.length, current: kind !== "set", href: to({ kind: "" }) },
        {
          text: "Not default",
          count: changed.length,
          current: kind === "set",
          href: to({ kind: "set" }),
        },
      ]} /></form>
    ${!found.length && html`<${Empty} title="No setting matches"><a href=${link("config")}>Show all</a></${Empty}>`}
    ${
      found.length > 0 &&
      html`<div class="table-box" tabindex="0" role="region" aria-label="Settings"><table class="plain settings">
      <thead><tr><th>Setting</th><th>Value</th><th>From</th><th>What it is</th></tr></thead>
      ${groups.map(
        (group) => html`<tbody><tr class="group"><th colspan="4" scope="rowgroup">${group}</th></tr>
        ${found.filter((one) => one.group === group).map((one) => html`<${SettingRow} setting=${one} />`)}</tbody>`,
      )}</table></div>`
    }
  </section>`;
}

const matches = (setting, text) =>
  text
    .toLowerCase()
    .split(/\s+/)
    .every((word) =>
      `${setting.flag} ${setting.variable} ${setting.help} ${setting.group}`
        .toLowerCase()
        .includes(word),
    );

function SettingRow({ setting }) {
  const isSet = setting.source !== "default";
  return html`<tr class=${isSet ? "set" : ""}><td class="mono nowrap">${setting.flag}</td>
    <td class="mono value"><${Text} value=${shown(setting.value)} most=${200} expand=${true} />
      ${isSet && shown(setting.value) !== shown(setting.default) && html`<div class="muted small">default: <${Text} value=${shown(setting.default) || "none"} /></div>`}</td>
    <td>${SOURCES[setting.source] ?? setting.source}${setting.place && html`<div class="mono muted small"><${Text} value=${setting.place} /></div>`}</td>
    <td class="muted"><${Text} value=${setting.help} /></td></tr>`;
}

/** A value of a setting as a text. */
function shown(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (value === true) return "on";
  if (value === false) return "off";
  return String(value ?? "");
}
