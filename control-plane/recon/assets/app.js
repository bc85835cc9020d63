// The frame: navigation, theme, and which page the address names.
import { render } from "./vendor/preact.js";
import { useEffect, useState } from "./vendor/hooks.js";
import { html } from "./parts.js";
import { Cluster } from "./cluster.js";
import { Datanode, Datanodes, Pipelines } from "./nodes.js";
import { Container, Containers, Repair } from "./containers.js";
import { Browse, Key } from "./browse.js";

const ICONS = {
  cluster: "M3 12h4l3 8 4-16 3 8h4",
  datanodes: "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01",
  pipelines: "M6 6a2 2 0 1 0 0 .01M18 12a2 2 0 1 0 0 .01M6 18a2 2 0 1 0 0 .01M8 6h4l4 6-4 6H8",
  containers: "M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10",
  browse: "M3 6h6l2 3h10v10H3z",
  repair: "M14 6a4 4 0 0 0 4 4 4 4 0 0 0 3-1 6 6 0 0 1-8 7l-6 5-3-3 5-6a6 6 0 0 1 7-8 4 4 0 0 0-2 2z",
};

const PAGES = [
  ["cluster", "Cluster", Cluster],
  ["datanodes", "Datanodes", Datanodes],
  ["pipelines", "Pipelines", Pipelines],
  ["containers", "Containers", Containers],
  ["browse", "Browse", Browse],
  ["repair", "Repair", Repair],
];

/** The page that an address names, with the names behind it. */
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const names = path.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  const [first = "cluster", ...rest] = names;
  const asked = Object.fromEntries(new URLSearchParams(query ?? ""));
  if (first === "datanodes" && rest.length) return { section: first, page: Datanode, rest, asked };
  if (first === "containers" && rest.length) return { section: first, page: Container, rest, asked };
  if (first === "key") return { section: "browse", page: Key, rest, asked };
  const [section, , page] = PAGES.find(([name]) => name === first) ?? PAGES[0];
  return { section, page, rest, asked };
}

const kept = () => { try { return localStorage.getItem("theme") ?? ""; } catch { return ""; } };

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("theme", theme); } catch { /* A browser that keeps nothing shows its own theme next time. */ }
  window.dispatchEvent(new Event("theme"));
}

function Themes() {
  const [theme, set] = useState(kept());
  const choose = (to) => { setTheme(to); set(to); };
  return html`<div class="themes" role="group" aria-label="Theme">
    ${[["", "Auto"], ["light", "Light"], ["dark", "Dark"]].map(([name, text]) => html`
      <button type="button" aria-pressed=${String(theme === name)} onClick=${() => choose(name)}>${text}</button>`)}
  </div>`;
}

function App() {
  const [at, set] = useState(route());
  useEffect(() => {
    const moved = () => { window.moved = true; scrollTo(0, 0); set(route()); };
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  const Page = at.page;
  const skip = (event) => { event.preventDefault(); document.querySelector("h1")?.focus(); };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <div class="frame">
      <header class="side">
        <a class="brand" href="#/"><img src="icon.svg" alt="" width="28" height="28" />Allotrope</a>
        <nav aria-label="Pages"><ul>
          ${PAGES.map(([name, text]) => html`<li><a href=${`#/${name === "cluster" ? "" : name}`} aria-current=${at.section === name ? "page" : null}>
            <svg viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>${text}</a></li>`)}
        </ul></nav>
        <div class="foot"><${Themes} /><span class="soft">Recon watches and changes nothing.</span></div>
      </header>
      <main id="main"><${Page} key=${location.hash} rest=${at.rest} asked=${at.asked} /></main>
    </div>`;
}

setTheme(kept());
render(html`<${App} />`, document.getElementById("app"));
