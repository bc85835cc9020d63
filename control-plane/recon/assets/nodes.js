// Datanodes with their volumes, and pipelines.
import { Badge, Meter, Page, Table, Waiting, ago, bytes, count, html, percent, rate, span, to, tone, usePoll, word } from "./parts.js";
import { ContainerTable } from "./containers.js";

const name = (node) => `${node.host}${node.ports.STANDALONE ? `:${node.ports.STANDALONE}` : ""}`;

const Volumes = ({ node }) => html`<span class=${node.volumesFailed.length ? "badge bad" : ""}>${node.volumesHealthy} of ${node.volumes}</span>`;

const Used = ({ part, all, label }) => html`<div class="used"><${Meter} part=${part} all=${all} label=${label} />
  <span class="soft nowrap">${bytes(part)} of ${bytes(all)}</span></div>`;

const State = ({ node, now }) => html`<span class="row"><${Badge} state=${node.state} />
  ${node.operational !== "IN_SERVICE" && html`<${Badge} state=${node.operational} />`}
  ${node.state !== "HEALTHY" && html`<span class="soft nowrap">for ${span(Math.max(0, Math.round((now - node.since) / 1000)))}</span>`}</span>`;

export function Datanodes({ asked }) {
  const poll = usePoll("allotrope/datanodes");
  const all = poll.data?.datanodes ?? [], now = poll.data?.now;
  const order = { DEAD: 0, STALE: 1, HEALTHY_READONLY: 2 };
  const sorted = [...all].sort((a, b) => (order[a.state] ?? 3) - (order[b.state] ?? 3) || name(a).localeCompare(name(b), "en", { numeric: true }));
  const shown = asked.state ? sorted.filter((node) => node.state === asked.state) : sorted;
  const states = ["HEALTHY", "STALE", "DEAD"].map((state) => [state, all.filter((node) => node.state === state).length]);
  return html`<${Page} title="Datanodes" beside=${all.length ? `${count(all.length)} known to SCM` : ""} poll=${poll}>
    <${Waiting} poll=${poll} />
    ${poll.data && html`
      <div class="tabs" role="navigation" aria-label="By state">
        <a href="#/datanodes" aria-current=${asked.state ? null : "true"}>All ${all.length}</a>
        ${states.map(([state, n]) => html`<a href=${`#/datanodes?state=${state}`} aria-current=${asked.state === state ? "true" : null}>${word(state)} ${n}</a>`)}
      </div>
      <section class="card"><${Table} label="Datanodes" empty="No datanode is in this state."
        columns=${[["Datanode", "name"], ["State"], ["Used"], ["Volumes", "num"], ["Containers", "num"], ["Written now", "num"], ["Read now", "num"]]}
        rows=${shown.map((node) => ({ key: node.id, cells: [
          html`<a href=${to("datanodes", node.id)}>${name(node)}</a>`,
          html`<${State} node=${node} now=${now} />`,
          html`<${Used} part=${node.used} all=${node.capacity} label=${`Space used on ${name(node)}`} />`,
          html`<${Volumes} node=${node} />`, count(node.containers), rate(node.now?.written), rate(node.now?.read),
        ] }))} /></section>`}
  </${Page}>`;
}

export function Datanode({ rest: [id] }) {
  const poll = usePoll("allotrope/datanodes");
  const node = poll.data?.datanodes.find((one) => one.id === id), now = poll.data?.now;
  const held = usePoll(`allotrope/containers?limit=100&datanode=${encodeURIComponent(id)}`, 5000);
  if (!node) {
    return html`<${Page} title="Datanode" poll=${poll}><${Waiting} poll=${poll} />
      ${poll.data && html`<p class="empty">SCM knows no datanode ${id}.</p><p class="empty"><a class="button" href="#/datanodes">All datanodes</a></p>`}</${Page}>`;
  }
  const failed = node.volumesFailed.map((path) => ({ key: path, cells: [html`<span class="mono">${path}</span>`, html`<span class="badge bad">failed</span>`, "", ""] }));
  const rooms = node.rooms.map((room) => ({ key: room.path, cells: [
    html`<span class="mono">${room.path}</span>`, html`<span class="badge good">in use</span>`,
    html`<${Used} part=${room.used} all=${room.capacity} label=${`Space used in ${room.path}`} />`, bytes(room.available),
  ] }));
  return html`<${Page} title=${name(node)} beside=${html`<${State} node=${node} now=${now} />`} poll=${poll}>
    <div class="grid wide">
      <section class="card"><h2>About</h2><dl>
        <dt>Id</dt><dd class="mono">${node.id}</dd>
        <dt>Address</dt><dd>${node.address}</dd>
        <dt>Rack</dt><dd>${node.rack || "–"}</dd>
        <dt>Ports</dt><dd>${Object.entries(node.ports).map(([service, port]) => `${word(service)} ${port}`).join(", ")}</dd>
        <dt>Operation</dt><dd>${word(node.operational)}</dd>
        <dt>Last healthy</dt><dd>${ago(node.healthyAt, now)}</dd>
        <dt>Pipelines</dt><dd>${count(node.pipelines)}</dd>
      </dl></section>
      <section class="card"><h2>Now</h2><dl>
        <dt>Used</dt><dd>${bytes(node.used)} of ${bytes(node.capacity)} (${percent(node.used, node.capacity)})</dd>
        <dt>Written</dt><dd>${rate(node.now?.written)}</dd>
        <dt>Read</dt><dd>${rate(node.now?.read)}</dd>
        <dt>Writes</dt><dd>${node.now?.writeMost ? `99 of 100 within ${span(node.now.writeMost)}` : "none now"}</dd>
        <dt>Reads</dt><dd>${node.now?.readMost ? `99 of 100 within ${span(node.now.readMost)}` : "none now"}</dd>
      </dl></section>
    </div>
    <section class="card"><h2>Volumes</h2><${Table} label="Volumes" empty="Its own page does not answer, so its volumes are not known."
      columns=${[["Folder", "name"], ["State"], ["Used"], ["Free", "num"]]} rows=${[...failed, ...rooms]} /></section>
    <section class="card"><h2>Containers <span class="soft">with a replica here${held.data?.more ? ", the first hundred" : ""}</span></h2>
      ${held.data && html`<${ContainerTable} containers=${held.data.containers} empty="None." />`}</section>
  </${Page}>`;
}

export function Pipelines() {
  const poll = usePoll("pipelines"), nodes = usePoll("allotrope/overview", 5000);
  const all = poll.data?.pipelines ?? [];
  const both = { ...poll, data: poll.data && { sources: nodes.data?.sources ?? [] } };
  return html`<${Page} title="Pipelines" beside=${all.length ? `${count(all.length)}, of which ${count(all.filter((one) => one.status === "OPEN").length)} open` : ""} poll=${both}>
    <${Waiting} poll=${poll} />
    ${poll.data && html`<section class="card"><${Table} label="Pipelines" empty="There are no pipelines: nothing has been written yet."
      columns=${[["Pipeline", "name"], ["State"], ["Replication"], ["Datanodes"], ["Containers", "num"], ["Age", "num"]]}
      rows=${all.map((one) => ({ key: one.pipelineId, cells: [
        html`<span class="mono">${one.pipelineId.slice(0, 8)}<span class="hidden">${one.pipelineId.slice(8)}</span></span>`,
        html`<${Badge} state=${one.status} />`,
        html`<span class="nowrap">${one.replicationType === "EC" ? one.replicationFactor : `${word(one.replicationType)} ${word(one.replicationFactor)}`}</span>`,
        html`<ul class="tiles">${one.datanodes.map((node, at) => html`<li><a class=${tone(node.state)} href=${to("datanodes", node.uuid)}
          title=${`${node.hostName}: ${word(node.state)}`} aria-label=${`${node.hostName}, ${word(node.state)}`}>${at + 1}</a></li>`)}</ul>`,
        count(one.containers), span(one.duration / 1000),
      ] }))} /></section>`}
  </${Page}>`;
}
