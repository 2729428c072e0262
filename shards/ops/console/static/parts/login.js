// The login form. The token goes into a cookie that scripts cannot read.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { request } from "../lib/api.js";
import { sentence } from "./controls.js";

/** @param {{session: any, onDone: () => void}} props */
export function Login({ session, onDone }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await request("login", { method: "POST", body: JSON.stringify({ token }) });
      onDone();
    } catch (failure) {
      setError(failure.message);
      field.current?.select();
    }
    setBusy(false);
  };
  return html`<main class="alone"><form class="login" onSubmit=${send}>
    <h1>Dsiem Shards</h1>
    <p class="muted">${session.node ? `Node ${session.node}. ` : ""}Log in with the token${" "}
      of <code class="nowrap">--api-token</code> (<code>DSIEM_API_TOKEN</code>).</p>
    <label for="token">Token</label>
    <input id="token" ref=${field} type="password" autocomplete="current-password" required value=${token}
      aria-describedby="login-error" onInput=${(event) => setToken(event.target.value)} />
    <p id="login-error" class="failure" role="alert" hidden=${!error}>${error && sentence(error)}</p>
    <button type="submit" class="primary" disabled=${busy}>Log in</button>
  </form></main>`;
}
