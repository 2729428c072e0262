// The frame of the page: navigation, state of the service, login, help; and the view in it.

import { html, useEffect, useState } from "./lib/html.js";
import { request, useResource } from "./lib/api.js";
import { rate } from "./lib/format.js";
import { useKeys } from "./lib/keys.js";
import { connect, disconnect, setServiceTime, useLive } from "./lib/live.js";
import { go, link, usePlace, VIEWS } from "./lib/router.js";
import { recall, store } from "./lib/storage.js";
import { Failure, Waiting } from "./parts/controls.js";
import { Help } from "./parts/help.js";
import { Login } from "./parts/login.js";
import { AlarmsView } from "./views/alarms.js";
import { BacklogsView } from "./views/backlogs.js";
import { ConfigView } from "./views/config.js";
import { DirectivesView } from "./views/directives.js";
import { FlowView } from "./views/flow.js";

const SHOWN = {
  alarms: AlarmsView,
  backlogs: BacklogsView,
  directives: DirectivesView,
  flow: FlowView,
  config: ConfigView,
};
const TITLES = {
  alarms: "Alarms",
  backlogs: "Backlogs",
  directives: "Directives",
  flow: "Flow",
  config: "Config",
};

/** The whole page: a login form if one is needed, else the view of the place. */
export function App() {
  const session = useResource("session");
  const [help, setHelp] = useState(false);
  useEffect(() => {
    const ask = () => {
      disconnect();
      session.change((data) => ({ ...data, login: "needed" }));
    };
    addEventListener("loginneeded", ask);
    return () => removeEventListener("loginneeded", ask);
  }, []);
  const login = session.data?.login;
  useEffect(() => {
    if (!login) return;
    setServiceTime(session.data.time);
    if (login !== "needed") connect();
  }, [login]);
  useKeys({
    "?": () => setHelp(true),
    ...Object.fromEntries(VIEWS.map((view, n) => [String(n + 1), () => go(link(view))])),
  });
  if (!session.data) return html`<main class="alone"><${Waiting} resource=${session} /></main>`;
  if (login === "needed")
    return html`<${Login} session=${session.data} onDone=${session.reload} />`;
  return html`<${Frame} session=${session} showHelp=${() => setHelp(true)} />
    ${help && html`<${Help} session=${session.data} onClose=${() => setHelp(false)} />`}`;
}

function Frame({ session, showHelp }) {
  const place = usePlace();
  const View = SHOWN[place.view];
  const logout = async () => {
    await request("logout", { method: "POST" }).catch(() => {});
    disconnect();
    session.reload();
  };
  return html`<a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${link("alarms")}><span>Dsiem Shards</span></a>
      <nav class="views" aria-label="Views">${VIEWS.map(
        (view) => html`
        <a href=${link(view)} aria-current=${view === place.view ? "page" : undefined}>${TITLES[view]}</a>`,
      )}</nav>
      <div class="status">
        <${Status} node=${session.data.node} />
        <${Theme} />
        <button type="button" class="quiet" onClick=${showHelp} aria-label="Help and shortcuts" title="Help and shortcuts (?)">?</button>
        ${session.data.login === "done" && html`<button type="button" class="quiet" onClick=${logout}>Log out</button>`}
      </div>
    </header>
    <${Trouble} view=${place.view} />
    <main id="content" tabindex="-1" class="view view-${place.view}">
      <h1 class="unseen">${TITLES[place.view]}</h1>
      <${View} key=${place.view} place=${place} session=${session.data} />
    </main>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** Whether the service is well, and its rate, at every view. */
function Status({ node }) {
  const { state, flow } = useLive((live) => live);
  const [kind, word] =
    state === "lost"
      ? ["bad", "No connection"]
      : !flow
        ? ["", "Connecting"]
        : flow.ready
          ? flow.warnings.length
            ? ["warn", "Ready, with warnings"]
            : ["good", "Ready"]
          : ["bad", "Not ready"];
  return html`<a class="health ${kind}" href=${link("flow")} title="State of ${node}: see Flow">
    <i aria-hidden="true"></i><span>${word}</span>
    ${flow && state === "open" && html`<span class="num muted eps">${rate(flow.events_per_second)}</span>`}</a>`;
}

/** What is wrong with the service, at every view. */
function Trouble({ view }) {
  const { state, refused, flow } = useLive((live) => live);
  if (state === "lost" && refused) {
    return html`<div class="banner bad" role="status">The service answers, but sends no live updates: are many pages
      open? What you see may be old. The page asks again by itself.</div>`;
  }
  if (state === "lost") {
    return html`<div class="banner bad" role="status">The service does not answer: is it running? What you
      see may be old. The page connects again by itself.</div>`;
  }
  const troubles = [...(flow?.missing ?? []), ...(flow?.stuck ?? [])];
  if (!troubles.length) return null;
  return html`<div class="banner bad" role="status">Not ready: ${troubles.slice(0, 3).join("; ")}.${" "}
    ${view !== "flow" && html`<a href=${link("flow")}>Look at the flow</a>`}</div>`;
}

const NEXT_THEME = { "": "light", light: "dark", dark: "" };

/** Theme of the system, light, or dark. */
function Theme() {
  const [theme, setTheme] = useState(recall("theme") ?? "");
  const turn = () => {
    const next = NEXT_THEME[theme] ?? "";
    store("theme", next);
    setTheme(next);
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    dispatchEvent(new Event("themechange"));
  };
  const name = theme || "system";
  return html`<button type="button" class="quiet theme" onClick=${turn} aria-label="Theme: ${name}"
    title="Theme: ${name}">${{ "": "◐", light: "☀", dark: "☾" }[theme] ?? "◐"}</button>`;
}
