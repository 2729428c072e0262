// Requests to the service, and hooks that keep their answers up to date.

import { useCallback, useEffect, useRef, useState } from "./html.js";

/** A request was refused or got no answer; the message is for people. */
export class ApiError extends Error {
  /**
   * @param {string} message @param {number} status of HTTP; 0 if there was no answer
   * @param {any} [document] the answer
   */
  constructor(message, status, document = null) {
    super(message);
    this.status = status;
    this.document = document;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * The JSON answer of a path below /api/v1/; ApiError. Parameters that are empty are left out.
 * @param {string} path
 * @param {{params?: Record<string, any>, method?: string, body?: string, signal?: AbortSignal}} [options]
 */
export async function request(path, { params = {}, method = "GET", body, signal } = {}) {
  const set = Object.entries(params).filter(([, value]) => value !== "" && value != null);
  const query = set.length ? `?${new URLSearchParams(set.map(([k, v]) => [k, String(v)]))}` : "";
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(`/api/v1/${path}${query}`, { method, body, signal, headers });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("the service does not answer", 0);
  }
  const document = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return document;
  if (response.status === 401 && path !== "login") dispatchEvent(new Event("loginneeded"));
  const text = document?.error ?? `the service answered with status ${response.status}`;
  throw new ApiError(text, response.status, document);
}

const RETRY_SECONDS = [1, 2, 4, 8];

/**
 * @template T
 * @typedef {{data: T | null, error: ApiError | null, loading: boolean, former: boolean, reload: () => void,
 *   change: (update: (data: T) => T) => void}} Resource
 *   `data` of the last answer stays while the next one is awaited, and `former` says that it is one
 *   of another request; `change` replaces it.
 */

/**
 * Load a path now, whenever it or its parameters change, and again after a temporary error.
 * `path` null loads nothing.
 * @param {string | null} path @param {Record<string, any>} [params]
 * @param {{every?: number, keep?: boolean, again?: unknown}} [options] `every`: seconds after which
 *   it is loaded again; `keep`: show the former answer until the next one is there; `again`: it is
 *   loaded again when this changes
 * @returns {Resource<any>}
 */
export function useResource(path, params = {}, { every = 0, keep = true, again = 0 } = {}) {
  const key = path === null ? "" : `${path}?${JSON.stringify(params)}`;
  const [state, setState] = useState({ key: "", data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  const failures = useRef(0);

  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    let timer = 0;
    const later = (seconds) => {
      timer = setTimeout(() => setTurn((n) => n + 1), 1000 * seconds);
    };
    setState((old) => ({ ...old, loading: true }));
    request(path, { params, signal: abort.signal }).then(
      (data) => {
        failures.current = 0;
        setState({ key, data, error: null, loading: false });
        if (every) later(every);
      },
      (error) => {
        if (abort.signal.aborted) return;
        setState((old) => ({
          key,
          data: old.key === key ? old.data : null,
          error,
          loading: false,
        }));
        if (error.isTemporary) later(RETRY_SECONDS[Math.min(failures.current++, 3)]);
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, turn, every, again]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const change = useCallback(
    (update) => setState((old) => (old.data ? { ...old, data: update(old.data) } : old)),
    [],
  );
  const data = path !== null && (keep || state.key === key) ? state.data : null;
  const error = state.key === key ? state.error : null;
  const former = data !== null && state.key !== key;
  return { data, error, loading: path !== null && state.loading, former, reload, change };
}
