// What every page shares: asking the API, saying numbers and times, small parts.
import { h } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);

/** How often a page asks again, in milliseconds. */
const EVERY = 2000;

/** One answer of the API; throws with the server's own words. */
export async function ask(path) {
  const response = await fetch("api/v1/" + path, { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => ({ error: "the answer is no JSON" }));
  if (!response.ok) throw Object.assign(new Error(body.error ?? response.statusText), { status: response.status });
  return body;
}

/**
 * The answer to `path`, asked again and again while the page is seen. `error` is why the last one failed and `since`
 * since when; `data` is the last that came.
 */
export function usePoll(path, every = EVERY) {
  const [got, set] = useState({ path });
  useEffect(() => {
    let timer, stopped = false;
    const round = async () => {
      if (!document.hidden) {
        try {
          const data = await ask(path);
          if (!stopped) set({ path, data, at: Date.now() });
        } catch (error) {
          if (!stopped) set((was) => ({ ...(was.path === path ? was : { path }), error, since: was.since ?? Date.now() }));
        }
      }
      if (!stopped) timer = setTimeout(round, every);
    };
    round();
    const seen = () => { if (!document.hidden) { clearTimeout(timer); round(); } };
    document.addEventListener("visibilitychange", seen);
    return () => { stopped = true; clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
  }, [path, every]);
  return got.path === path ? got : { path };
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** Bytes with a binary unit. */
export function bytes(n) {
  if (n == null || n < 0) return "–";
  let at = 0;
  while (n >= 1024 && at < UNITS.length - 1) { n /= 1024; at += 1; }
  return `${at === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${UNITS[at]}`;
}

export const rate = (n) => (n == null ? "–" : `${bytes(n)}/s`);
export const count = (n) => (n == null ? "–" : n.toLocaleString("en"));
export const percent = (part, all) => (all > 0 ? `${((100 * part) / all).toFixed(part / all < 0.1 ? 1 : 0)} %` : "–");

/** Seconds, as short as they read well. */
export function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 90) return `${seconds < 10 && !Number.isInteger(seconds) ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** How long ago a time was. */
export const ago = (ms, now = Date.now()) => (ms ? `${span(Math.max(0, Math.round((now - ms) / 1000)))} ago` : "–");
export const clock = (ms) => (ms ? new Date(ms).toLocaleTimeString("en-GB") : "–");
export const date = (ms) => (ms ? new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "–");

const WORDS = {
  HEALTHY: "good", OPEN: "good", CLOSED: "good", IN_SERVICE: "good",
  STALE: "warn", HEALTHY_READONLY: "warn", UNDER_REPLICATED: "warn", OVER_REPLICATED: "warn", QUASI_CLOSED: "warn", CLOSING: "warn",
  DECOMMISSIONING: "warn", ENTERING_MAINTENANCE: "warn", IN_MAINTENANCE: "warn", EMPTY_MISSING: "warn", DORMANT: "warn",
  DEAD: "bad", MISSING: "bad", UNHEALTHY: "bad",
};

/** How a state is coloured. */
export const tone = (state) => WORDS[state] ?? "";
export const word = (state) => (state ?? "").toLowerCase().replaceAll("_", " ");

export const Badge = ({ state }) => html`<span class=${`badge ${tone(state)}`}>${word(state)}</span>`;

export const Meter = ({ part, all, label }) => html`
  <div class="meter" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${all > 0 ? Math.round((100 * part) / all) : 0}>
    <i class=${part / all > 0.85 ? "full" : ""} style=${{ width: `${all > 0 ? Math.min(100, (100 * part) / all) : 0}%` }}></i>
  </div>`;

/** Shares of a whole beside each other; `parts` are [number, tone, name]. */
export const Split = ({ parts }) => html`
  <div class="split" role="img" aria-label=${parts.map(([n, , name]) => `${n} ${name}`).join(", ")}>
    ${parts.filter(([n]) => n > 0).map(([n, tone]) => html`<i class=${tone || "plain"} style=${{ flexGrow: n }}></i>`)}
  </div>`;

/** A table whose rows become cards on a phone. `columns` are [heading, class]; a row is a list of cells with a key. */
export const Table = ({ label, columns, rows, empty }) => rows.length === 0
  ? html`<p class="empty">${empty}</p>`
  : html`<table><caption class="hidden">${label}</caption>
    <thead><tr>${columns.map(([name, kind]) => html`<th scope="col" class=${kind ?? ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map(({ key, cells }) => html`<tr key=${key}>${cells.map((cell, at) => html`
      <td class=${columns[at][1] ?? ""} data-label=${at > 0 ? columns[at][0] : null}>${cell}</td>`)}</tr>`)}</tbody>
  </table>`;

/** A link within the page, to a path of names. */
export const to = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");

export const Mark = () => html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M20 6 9 17l-5-5" /></svg>`;

/** The head of a page: its title, what stands beside it, and who does not answer. */
export function Page({ title, beside, poll, children }) {
  const heading = useRef();
  useEffect(() => {
    document.title = `${title} · Allotrope`;
    if (window.moved) heading.current?.focus();
  }, [title]);
  return html`
    <div class="head"><h1 tabindex="-1" ref=${heading}>${title}</h1><div class="soft">${beside}</div></div>
    <${Silent} poll=${poll} />
    ${children}`;
}

/** Says since when Recon, SCM, OM or a server is silent. */
export function Silent({ poll }) {
  if (poll?.error && poll.error.status == null) {
    return html`<div class="banner bad" role="status"><strong>Recon does not answer since ${clock(poll.since)}.</strong>
      <span class="soft">What is shown is the last that it said.</span></div>`;
  }
  if (poll?.error) {
    return html`<div class="banner warn" role="status"><strong>This cannot be shown.</strong><span class="soft">${poll.error.message}</span></div>`;
  }
  const silent = (poll?.data?.sources ?? []).filter((source) => source.silentSince);
  return silent.map((source) => html`
    <div class=${`banner ${source.task === "ServerMetrics" ? "warn" : "bad"}`} role="status" key=${source.task}>
      <strong>${source.server} ${source.task === "ServerMetrics" ? "are not all there" : "does not answer"} since ${clock(source.silentSince)}.</strong>
      <span class="soft">${source.answeredAt ? `Shown is the last known state, of ${clock(source.answeredAt)}. ` : "Nothing is known yet. "}${source.why}</span>
    </div>`);
}

/** While nothing has come yet. */
export const Waiting = ({ poll }) => (poll.data || poll.error ? null : html`<p class="empty" aria-busy="true">Asking…</p>`);
