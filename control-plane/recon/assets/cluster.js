// The cluster at a glance.
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { Mark, Meter, Page, Split, Waiting, ago, ask, bytes, count, html, percent, rate, span, to, usePoll, word } from "./parts.js";
import { Chart } from "./chart.js";

/** Points that a chart needs at most: ten minutes and a little. */
const POINTS_MAX = 330;
const COLUMNS = ["at", "written", "read", "changes", "refused", "writeHalf", "writeMost", "readHalf", "readMost"];

/** The last minutes, growing by what is new. */
function useSeries() {
  const [series, set] = useState(Object.fromEntries(COLUMNS.map((name) => [name, []])));
  const last = useRef(0);
  useEffect(() => {
    let timer, stopped = false;
    const round = async () => {
      const fresh = document.hidden ? null : await ask(`allotrope/series?after=${last.current}`).catch(() => null);
      if (stopped) return;
      if (fresh?.at.length) {
        last.current = fresh.at.at(-1);
        set((was) => Object.fromEntries(COLUMNS.map((name) => [name, [...was[name], ...fresh[name]].slice(-POINTS_MAX)])));
      }
      timer = setTimeout(round, 2000);
    };
    round();
    return () => { stopped = true; clearTimeout(timer); };
  }, []);
  return series;
}

/** So many a second. */
const each = (n) => (n == null ? "–" : `${n >= 10 || Number.isInteger(n) ? Math.round(n) : n.toFixed(1)}/s`);

/** What wants somebody's attention, in sentences. */
function concerns({ datanodes, containers, safeMode }) {
  const { health } = containers, found = [];
  const say = (n, tone, one, many, link) => { if (n > 0) found.push({ tone, text: n === 1 ? one : `${count(n)} ${many}`, link }); };
  if (safeMode.on) found.push({ tone: "warn", text: "SCM is in safe mode: it waits for datanodes and their containers", link: to("repair") });
  say(datanodes.dead, "bad", "1 datanode is dead", "datanodes are dead", to("datanodes"));
  say(datanodes.stale, "warn", "1 datanode is stale: it has been silent for a while", "datanodes are stale: they have been silent for a while", to("datanodes"));
  say(datanodes.volumesFailed, "bad", "1 volume has failed", "volumes have failed", to("datanodes"));
  say(health.MISSING, "bad", "1 container is missing: its data cannot be read now", "containers are missing: their data cannot be read now", "#/containers?health=MISSING");
  say(health.UNHEALTHY, "bad", "1 container has only damaged replicas", "containers have only damaged replicas", "#/containers?health=UNHEALTHY");
  say(health.UNDER_REPLICATED, "warn", "1 container has fewer replicas than it should", "containers have fewer replicas than they should", "#/containers?health=UNDER_REPLICATED");
  say(health.OVER_REPLICATED, "", "1 container has more replicas than it should", "containers have more replicas than they should", "#/containers?health=OVER_REPLICATED");
  return found;
}

const Concerns = ({ data }) => {
  const found = concerns(data);
  const silent = data.sources.some((source) => source.silentSince || !source.answeredAt);
  if (!found.length) {
    return silent ? null : html`<section class="card" aria-label="Attention"><div class="calm"><${Mark} />Everything is as it should be.</div></section>`;
  }
  return html`<section class="card" aria-label="Attention"><h2>Needs attention</h2><ul class="plain">
    ${found.map(({ tone, text, link }) => html`<li><a href=${link} class="row"><span class=${`badge ${tone}`}>${tone === "bad" ? "now" : tone === "warn" ? "soon" : "note"}</span>${text}</a></li>`)}
  </ul></section>`;
};

const Capacity = ({ room }) => html`<section class="card stack">
  <h2>Capacity</h2>
  <p class="figure">${bytes(room.used)} <small>of ${bytes(room.capacity)}</small></p>
  <${Meter} part=${room.used} all=${room.capacity} label="Space used" />
  <p class="soft">${percent(room.used, room.capacity)} used, ${bytes(room.remaining)} free</p>
</section>`;

const Nodes = ({ nodes }) => html`<section class="card stack">
  <h2>Datanodes</h2>
  <p class="figure"><a href=${to("datanodes")}>${count(nodes.healthy)}</a> <small>of ${count(nodes.all)} healthy</small></p>
  <${Split} parts=${[[nodes.healthy, "good", "healthy"], [nodes.stale, "warn", "stale"], [nodes.dead, "bad", "dead"]]} />
  <p class="soft">${nodes.stale} stale, ${nodes.dead} dead</p>
</section>`;

const Held = ({ containers, pipelines }) => {
  const { health } = containers;
  const bad = health.MISSING + health.UNHEALTHY, soon = health.UNDER_REPLICATED + health.OVER_REPLICATED + health.EMPTY_MISSING;
  const states = Object.entries(containers.states).map(([state, n]) => `${count(n)} ${word(state)}`).join(", ");
  return html`<section class="card stack">
    <h2>Containers</h2>
    <p class="figure"><a href=${to("containers")}>${count(containers.all)}</a> <small>${bad + soon === 0 ? "all safe" : `${count(bad + soon)} to mend`}</small></p>
    <${Split} parts=${[[health.HEALTHY, "good", "as they should be"], [soon, "warn", "to mend"], [bad, "bad", "not readable"]]} />
    <p class="soft">${states || "none yet"}; ${count(pipelines.open)} open pipelines</p>
  </section>`;
};

const Names = ({ names }) => html`<section class="card stack">
  <h2>Namespace</h2>
  <p class="figure"><a href=${to("browse")}>${count(names.keys)}</a> <small>keys and directories</small></p>
  <p class="soft">${count(names.buckets)} ${names.buckets === 1 ? "bucket" : "buckets"} in ${count(names.volumes)} ${names.volumes === 1 ? "volume" : "volumes"}</p>
  <p class="soft">${bytes(names.bytes)} with all replicas</p>
</section>`;

const Charts = ({ series }) => html`<div class="grid wide">
  <section class="card"><h2>Throughput <span class="soft">up to 10 minutes</span></h2>
    <${Chart} label="Throughput" at=${series.at} say=${rate} least=${4096} steps="bytes" series=${[
      { name: "written", tone: "accent", values: series.written, fill: true },
      { name: "read", tone: "second", values: series.read, fill: true },
    ]} /></section>
  <section class="card"><h2>Latency <span class="soft">99 of 100 took at most; dashed: half of them</span></h2>
    <${Chart} label="Latency" at=${series.at} say=${span} least=${0.002} series=${[
      { name: "writes", tone: "accent", values: series.writeMost },
      { name: "reads", tone: "second", values: series.readMost },
      { name: "half of the writes", tone: "accent", values: series.writeHalf, thin: true },
      { name: "half of the reads", tone: "second", values: series.readHalf, thin: true },
    ]} /></section>
  <section class="card"><h2>Changes to the namespace <span class="soft">a second</span></h2>
    <${Chart} label="Changes to the namespace" at=${series.at} say=${each} least=${2} steps="counts" series=${[
      { name: "changes", tone: "accent", values: series.changes, fill: true },
    ]} /></section>
  <section class="card"><h2>Requests refused by datanodes <span class="soft">a second</span></h2>
    <${Chart} label="Requests refused by datanodes" at=${series.at} say=${each} least=${2} steps="counts" series=${[
      { name: "refused", tone: "second", values: series.refused, fill: true },
    ]} /></section>
</div>`;

export function Cluster() {
  const poll = usePoll("allotrope/overview");
  const series = useSeries();
  const { data } = poll;
  const beside = data?.clusterId ? html`<span class="mono">${data.clusterId}</span>` : "";
  return html`<${Page} title="Cluster" beside=${beside} poll=${poll}>
    <${Waiting} poll=${poll} />
    ${data && html`
      <div class="grid">
        <${Capacity} room=${data.room} />
        <${Nodes} nodes=${data.datanodes} />
        <${Held} containers=${data.containers} pipelines=${data.pipelines} />
        <${Names} names=${data.namespace} />
      </div>
      <${Concerns} data=${data} />`}
    <${Charts} series=${series} />
    ${data && html`<p class="soft">${data.sources.map((source) => `${source.server}: ${source.answeredAt ? ago(source.answeredAt, data.now) : "not yet"}`).join(" · ")}</p>`}
  </${Page}>`;
}
