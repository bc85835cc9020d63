// Volumes, buckets and keys, level by level, and one key with where its blocks lie.
import { useState } from "./vendor/hooks.js";
import { Meter, Page, Table, Waiting, ask, bytes, clock, count, date, html, percent, to, tone, usePoll, word } from "./parts.js";

const PAGE = 100;
const KINDS = {
  volume: "M4 7c0-2 16-2 16 0v10c0 2-16 2-16 0zM4 7c0 2 16 2 16 0",
  bucket: "M4 6h16l-2 14H6zM4 6c0-2 16-2 16 0",
  directory: "M3 6h6l2 3h10v10H3z",
  key: "M6 3h8l4 4v14H6zM14 3v4h4",
};

const Kind = ({ kind }) => html`<svg class="kind" viewBox="0 0 24 24" aria-hidden="true"><path d=${KINDS[kind]} /></svg><span class="hidden">${kind} </span>`;

const Crumbs = ({ names }) => html`<nav class="crumbs" aria-label="Path"><ol>
  <li><a href="#/browse" aria-current=${names.length ? null : "page"}>All volumes</a></li>
  ${names.map((name, at) => html`<li><a href=${to("browse", ...names.slice(0, at + 1))} aria-current=${at === names.length - 1 ? "page" : null}>${name}</a></li>`)}
</ol></nav>`;

const Link = ({ names, row }) => html`<${Kind} kind=${row.kind} /><a href=${row.kind === "key" ? to("key", ...names, row.name) : to("browse", ...names, row.name)}>${row.name}</a>`;

const Quota = ({ row }) => row.quota > 0
  ? html`<span class="row"><${Meter} part=${row.used} all=${row.quota} label=${`Quota of ${row.name}`} /><span class="soft nowrap">${percent(row.used, row.quota)} of ${bytes(row.quota)}</span></span>`
  : html`<span class="soft">no quota</span>`;

/** Columns and cells of a level, by what it holds. */
function table(names, rows) {
  const link = (row) => html`<${Link} names=${names} row=${row} />`;
  if (names.length === 0) {
    return [[["Volume", "name"], ["Owner"], ["Quota"], ["Buckets", "num"], ["Keys", "num"], ["On disk", "num"]],
      (row) => [link(row), row.owner, html`<${Quota} row=${row} />`, count(row.buckets), count(row.keys), bytes(row.used)]];
  }
  if (names.length === 1) {
    return [[["Bucket", "name"], ["Layout"], ["Replication"], ["Quota"], ["Keys", "num"], ["On disk", "num"]],
      (row) => [link(row), row.link ? html`<span>link to ${row.link}</span>` : word(row.layout), row.replication ?? "of the server",
        html`<${Quota} row=${row} />`, count(row.keys), bytes(row.used)]];
  }
  return [[["Name", "name"], ["Replication"], ["Changed"], ["Size", "num"], ["On disk", "num"]],
    (row) => [link(row), row.replication ?? "", row.modified ? date(row.modified) : "", row.kind === "key" ? bytes(row.size) : "", row.kind === "key" ? bytes(row.used) : ""]];
}

/** What lies below a bucket or directory, counted when somebody asks for it. */
function Usage({ names }) {
  const [state, set] = useState({});
  const path = "/" + names.join("/");
  const look = async () => {
    set({ asking: true });
    const asked = encodeURIComponent(path);
    try {
      const [summary, usage] = await Promise.all([ask(`namespace/summary?path=${asked}`), ask(`namespace/usage?path=${asked}&limit=20`)]);
      set({ summary, usage });
    } catch (error) { set({ error }); }
  };
  const { summary, usage } = state;
  const biggest = [...(usage?.subPaths ?? [])].sort((a, b) => b.sizeWithReplica - a.sizeWithReplica).slice(0, 8);
  return html`<section class="card stack"><h2>Usage below</h2>
    ${!usage && html`<div><button class="button" type="button" disabled=${Boolean(state.asking)} onClick=${look}>${state.asking ? "Counting…" : "Count keys and sizes"}</button></div>`}
    ${state.error && html`<p role="status">${state.error.message}</p>`}
    ${usage && html`<p role="status">${usage.complete ? "" : "At least "}${count(summary.countStats.numKey)} keys and ${count(summary.countStats.numDir)} directories:
      ${" "}${bytes(usage.size)}, ${bytes(usage.sizeWithReplica)} on disk.</p>
      <ul class="plain">${biggest.map((one) => html`<li class="row"><span class="mono">${one.path.split("/").at(-1)}</span>
        <${Meter} part=${one.sizeWithReplica} all=${usage.sizeWithReplica} label=${`Share of ${one.path}`} /><span class="soft">${bytes(one.sizeWithReplica)}</span></li>`)}</ul>`}
  </section>`;
}

export function Browse({ rest: names, asked }) {
  const after = asked.after ?? "", path = "/" + names.join("/");
  const [from, setFrom] = useState("");
  const poll = usePoll(`allotrope/level?path=${encodeURIComponent(path)}&limit=${PAGE}&after=${encodeURIComponent(after)}`);
  const rows = poll.data?.rows ?? [];
  const [columns, cells] = table(names, rows);
  const link = (at) => `${to("browse", ...names)}?after=${encodeURIComponent(at)}`;
  const inside = names.slice(2).join("/");
  const jump = (event) => {
    event.preventDefault();
    // Just before the name, so that the page begins with it.
    const whole = names.length > 2 ? `${inside}/${from}` : from;
    location.hash = from ? link(whole.slice(0, -1) + String.fromCodePoint(Math.max(1, whole.codePointAt(whole.length - 1) - 1)) + "\u{10fffd}") : to("browse", ...names);
  };
  const empty = names.length === 0 ? "There are no volumes yet." : names.length === 1 ? "There are no buckets yet." : "Nothing lies here.";
  const next = poll.data?.after ?? rows.at(-1)?.name;
  return html`<${Page} title=${names.at(-1) ?? "Volumes"} poll=${poll}>
    <div class="row head"><${Crumbs} names=${names} />
      <form role="search" onSubmit=${jump}><label><span class="hidden">Go to names from</span>
        <input type="search" placeholder="Go to name…" value=${from} onInput=${(event) => setFrom(event.target.value)} /></label></form></div>
    ${poll.data?.silent && html`<div class="banner warn" role="status"><strong>OM is silent; this is the list of ${clock(poll.data.at)}.</strong><span class="soft">${poll.data.silent}</span></div>`}
    <${Waiting} poll=${poll} />
    ${poll.data && html`<section class="card"><${Table} label=${`Names in ${path}`} columns=${columns} empty=${empty}
      rows=${rows.map((row) => ({ key: row.kind + row.name, cells: cells(row) }))} /></section>
      <div class="row">
        ${after && html`<a class="button" href=${to("browse", ...names)}>First</a>`}
        ${poll.data.more && html`<a class="button" href=${link(next)}>Next ${PAGE}</a>`}
      </div>
      ${names.length > 1 && html`<${Usage} names=${names} />`}`}
  </${Page}>`;
}

export function Key({ rest: names }) {
  const poll = usePoll(`allotrope/key?path=${encodeURIComponent("/" + names.join("/"))}`, 5000);
  const key = poll.data;
  const pairs = [...(key?.metadata ?? []), ...(key?.tags ?? [])];
  return html`<${Page} title=${names.at(-1) ?? "Key"} poll=${poll}>
    <${Crumbs} names=${names.slice(0, -1)} />
    <${Waiting} poll=${poll} />
    ${key && html`
      <section class="card"><h2>About</h2><dl>
        <dt>Size</dt><dd>${bytes(key.size)} <span class="soft">(${count(key.size)} bytes)</span></dd>
        <dt>On disk</dt><dd>${bytes(key.used)} with all replicas</dd>
        <dt>Replication</dt><dd>${key.replication}</dd><dt>Owner</dt><dd>${key.owner ?? "–"}</dd>
        <dt>Made</dt><dd>${date(key.created)}</dd><dt>Changed</dt><dd>${date(key.modified)}</dd>
        ${pairs.map((pair) => html`<dt>${pair.name}</dt><dd>${pair.value}</dd>`)}
      </dl></section>
      <section class="card"><h2>Blocks <span class="soft">${count(key.blockCount)}</span></h2><${Table} label="Blocks" empty="An empty key has no blocks."
        columns=${[["Block", "name"], ["Container"], ["On"], ["Length", "num"]]}
        rows=${key.blocks.map((block) => ({ key: block.local, cells: [
          html`<span class="mono">${block.local}</span>`, html`<a href=${to("containers", block.container)}>${block.container}</a>`,
          html`<ul class="tiles">${block.replicas.map((replica) => html`<li><a class=${tone(replica.state)} href=${to("datanodes", replica.node)}
            title=${`${replica.host}: ${word(replica.state)}`} aria-label=${`${replica.host}, ${word(replica.state)}`}>${replica.index || "●"}</a></li>`)}</ul>`,
          bytes(block.length),
        ] }))} /></section>`}
  </${Page}>`;
}
