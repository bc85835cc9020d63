// Containers with the health of their replicas, and what is being repaired.
import { Badge, Mark, Page, Table, Waiting, ago, bytes, count, date, html, span, to, tone, usePoll, word } from "./parts.js";

const PAGE = 100;
const HEALTH = [
  ["", "All"], ["ALL_UNHEALTHY", "To mend"], ["MISSING", "Missing"], ["UNHEALTHY", "Damaged"], ["UNDER_REPLICATED", "Under-replicated"],
  ["OVER_REPLICATED", "Over-replicated"], ["EMPTY_MISSING", "Missing, empty"],
];

/** A small square a replica, numbered in erasure-coded containers; a dashed one for each that lacks. */
export const Replicas = ({ container }) => {
  const coded = container.kind === "EC";
  const bad = (replica) => (replica.state === "UNHEALTHY" ? "bad" : tone(replica.nodeState));
  const there = container.replicas.map((replica) => html`<li><a class=${bad(replica)} href=${to("datanodes", replica.node)}
    title=${`${replica.host}: ${word(replica.state || replica.nodeState)}`}
    aria-label=${`${coded ? `Index ${replica.index} on ` : ""}${replica.host}, ${word(replica.nodeState)}`}>${coded ? replica.index : "●"}</a></li>`);
  const has = new Set(container.replicas.map((replica) => replica.index));
  const wanted = coded ? Array.from({ length: container.needed }, (_, at) => at + 1).filter((index) => !has.has(index))
    : Array.from({ length: Math.max(0, container.needed - container.replicas.length) }, () => "○");
  const open = container.state === "OPEN";
  const lacking = open ? [] : wanted.map((index) => html`<li><span class="tile gap" title="lacks"><span aria-hidden="true">${index}</span><span class="hidden">lacks ${coded ? `index ${index}` : "one"}</span></span></li>`);
  return html`<ul class="tiles">${there}${lacking}</ul>`;
};

export const ContainerTable = ({ containers, empty }) => html`<${Table} label="Containers" empty=${empty}
  columns=${[["Container", "name"], ["State"], ["Health"], ["Replicas"], ["Replication"], ["Keys", "num"], ["Used", "num"]]}
  rows=${containers.map((one) => ({ key: one.id, cells: [
    html`<a href=${to("containers", one.id)}>${one.id}</a>`,
    html`<${Badge} state=${one.state} />`,
    one.health === "HEALTHY" ? html`<span class="soft">${one.state === "OPEN" ? "being written" : "safe"}</span>` : html`<${Badge} state=${one.health} />`,
    html`<${Replicas} container=${one} />`, html`<span class="nowrap">${one.replication}</span>`, count(one.keys), bytes(one.used),
  ] }))} />`;

export function Containers({ asked }) {
  const health = asked.health ?? "", after = asked.after ?? "0";
  const poll = usePoll(`allotrope/containers?limit=${PAGE}&health=${health}&after=${encodeURIComponent(after)}`);
  const page = poll.data?.containers ?? [];
  const link = (at) => `#/containers?health=${health}&after=${at}`;
  return html`<${Page} title="Containers" beside=${poll.data ? `${count(poll.data.all)} known to SCM` : ""} poll=${poll}>
    <div class="tabs" role="navigation" aria-label="By health">${HEALTH.map(([name, text]) => html`
      <a href=${`#/containers${name ? `?health=${name}` : ""}`} aria-current=${health === name ? "true" : null}>${text}</a>`)}</div>
    <${Waiting} poll=${poll} />
    ${poll.data && html`<section class="card">
      <${ContainerTable} containers=${page} empty=${health ? "None: that is good." : "There are no containers: nothing has been written yet."} /></section>
      <div class="row">
        ${after !== "0" && html`<a class="button" href=${link(0)}>First</a>`}
        ${poll.data.more && html`<a class="button" href=${link(page.at(-1).id)}>Next ${PAGE}</a>`}
      </div>`}
  </${Page}>`;
}

export function Container({ rest: [id] }) {
  const poll = usePoll(`allotrope/containers/${encodeURIComponent(id)}`);
  const one = poll.data;
  return html`<${Page} title=${`Container ${id}`} beside=${one && html`<span class="row"><${Badge} state=${one.state} />${one.health !== "HEALTHY" && html`<${Badge} state=${one.health} />`}</span>`} poll=${poll}>
    <${Waiting} poll=${poll} />
    ${one && html`
      <section class="card"><h2>About</h2><dl>
        <dt>Replication</dt><dd>${one.replication}${one.kind === "EC" ? `: readable with any ${one.data} of ${one.needed}` : ""}</dd>
        <dt>Replicas</dt><dd><${Replicas} container=${one} /></dd>
        <dt>Keys</dt><dd>${count(one.keys)}</dd><dt>Used</dt><dd>${bytes(one.used)}</dd><dt>Owner</dt><dd>${one.owner}</dd>
        <dt>${word(one.state)} since</dt><dd>${date(one.since)}</dd>
        ${one.health !== "HEALTHY" && html`<dt>${word(one.health)} since</dt><dd>${ago(one.healthSince)}</dd>`}
        <dt>Pipeline</dt><dd class="mono">${one.pipeline || "–"}</dd>
      </dl></section>
      <section class="card"><h2>Replicas <span class="soft">those of now, and those that were</span></h2><${Table} label="Replicas" empty="No replica is known."
        columns=${[["Datanode", "name"], ...(one.kind === "EC" ? [["Index", "num"]] : []), ["Replica"], ["Datanode is"], ["Used", "num"], ["Seen first", "num"], ["Seen last", "num"]]}
        rows=${one.history.map((replica) => ({ key: replica.node + replica.index, cells: [
          html`<a href=${to("datanodes", replica.node)}>${replica.host}</a>`,
          ...(one.kind === "EC" ? [replica.index] : []),
          replica.present ? html`<${Badge} state=${replica.state || "OPEN"} />` : html`<span class="badge">gone</span>`,
          html`<${Badge} state=${replica.nodeState} />`, bytes(replica.used), ago(replica.firstSeen), replica.present ? "now" : ago(replica.lastSeen),
        ] }))} /></section>`}
  </${Page}>`;
}

/** `UNDER_REPLICATED`, `scm_repair_bytes.done` and `UnderReplicated` as people write them. */
const plain = (name) => word(name.replace(/^scm_/, "").replace(/_total\b/, "").replaceAll(".", " ").replace(/([a-z])([A-Z])/g, "$1_$2"));

const Report = ({ report }) => {
  if (report.offered == null) return html`<p class="empty">SCM has not been asked yet.</p>`;
  if (!report.offered) return html`<p class="soft">This SCM gives no report of its replication manager. What stands above is what Recon sees itself.</p>`;
  const samples = Object.fromEntries(report.samples.map((one) => [one.name, one.containers]));
  const found = report.counts.filter((one) => one.count > 0);
  return html`<${Table} label="Report of the replication manager" empty="Nothing to report."
    columns=${[["Finding", "name"], ["Containers", "num"], ["For instance", ""]]}
    rows=${found.map((one) => ({ key: one.name, cells: [plain(one.name), count(one.count),
      html`<span class="row">${(samples[one.name] ?? []).slice(0, 12).map((id) => html`<a href=${to("containers", id)}>${id}</a>`)}</span>`] }))} />`;
};

export function Repair() {
  const poll = usePoll("allotrope/repair"), mend = usePoll(`allotrope/containers?limit=${PAGE}&health=ALL_UNHEALTHY`);
  const { data } = poll;
  const overview = usePoll("allotrope/overview", 4000).data;
  const sick = mend.data?.containers ?? [];
  const figures = Object.entries(data?.figures ?? {});
  const quiet = data && mend.data && sick.length === 0 && data.datanodes.length === 0;
  return html`<${Page} title="Repair" beside="What lacks, and what is done about it" poll=${poll}>
    <${Waiting} poll=${poll} />
    ${overview?.safeMode.on && html`<section class="card"><h2>Safe mode <span class="soft">SCM allocates and repairs nothing until all rules are met</span></h2><ul class="plain">
      ${overview.safeMode.rules.map((rule) => html`<li class="row"><span class=${`badge ${rule.met ? "good" : "warn"}`}>${rule.met ? "met" : "waits"}</span><span>${rule.name}</span><span class="soft">${rule.text}</span></li>`)}</ul></section>`}
    ${quiet && html`<section class="card"><div class="calm"><${Mark} />Every container is as safe as it should be.</div></section>`}
    ${sick.length > 0 && html`<section class="card"><h2>Containers to mend <span class="soft">${mend.data.more ? `the first ${PAGE}` : ""}</span></h2>
      <${ContainerTable} containers=${sick} empty="" /></section>`}
    ${data?.datanodes.length > 0 && html`<section class="card"><h2>Datanodes that are away</h2><ul class="plain">
      ${data.datanodes.map((node) => html`<li class="row"><${Badge} state=${node.state} /><a href=${to("datanodes", node.id)}>${node.host}</a>
        <span class="soft">for ${span(Math.max(0, Math.round((data.now - node.since) / 1000)))}</span></li>`)}</ul></section>`}
    ${data && html`<section class="card"><h2>Replication manager ${data.report.offered && html`<span class="soft">of ${date(data.report.at)}</span>`}</h2><${Report} report=${data.report} /></section>`}
    ${data && (figures.length > 0 || data.deletions != null) && html`<section class="card"><h2>Figures of SCM</h2><dl>
      ${data.deletions != null && html`<dt>deletions under way</dt><dd>${count(data.deletions)}</dd>`}
      ${figures.map(([name, value]) => html`<dt>${plain(name)}</dt><dd>${name.includes("bytes") ? bytes(value) : count(value)}</dd>`)}</dl></section>`}
  </${Page}>`;
}
