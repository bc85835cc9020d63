// A live chart: uPlot over the last minutes, drawn anew when its data, its width or the theme changes.
import { useEffect, useRef } from "./vendor/hooks.js";
import { html } from "./parts.js";

/** What a chart shows, in seconds. */
const SHOWN = 600, SHOWN_LEAST = 90;
const HEIGHT = 190;

/** A colour of the sheet as the canvas wants it. */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const faded = (rgb, alpha) => `rgba(${rgb.match(/[\d.]+/g).slice(0, 3).join(", ")}, ${alpha})`;

/** Steps of an axis: powers of two for bytes, whole numbers for counts, else what uPlot takes. */
const STEPS = {
  bytes: Array.from({ length: 60 }, (_, at) => 2 ** at),
  counts: Array.from({ length: 36 }, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3)),
};

/** The last minutes; fewer, while there are no more. */
const shown = (first, now) => [Math.max(now - SHOWN, Math.min(first ?? now, now - SHOWN_LEAST)), now];

/** A time of the day, to the second where the chart is short. */
const moment = (seconds, { min, max }) => new Date(seconds * 1000).toLocaleTimeString("en-GB",
  { hour: "2-digit", minute: "2-digit", second: max - min < 300 ? "2-digit" : undefined });

function options({ series, say, least, steps }, width) {
  const [ink, line] = [colour("soft"), colour("line")];
  const axis = { stroke: ink, font: "12px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const drawn = series.map(({ name, tone, thin, fill }) => {
    const stroke = colour(tone);
    return {
      label: name, stroke: thin ? faded(stroke, 0.55) : stroke, width: thin ? 1.25 : 2, dash: thin ? [4, 4] : undefined,
      fill: fill ? faded(stroke, 0.1) : undefined, spanGaps: false,
      // A value between two gaps has no line: it is a dot.
      points: { show: !fill && !thin, size: 3, width: 0, fill: stroke },
    };
  });
  return {
    width, height: HEIGHT, legend: { show: false }, cursor: { show: false }, padding: [8, 20, 0, 0],
    scales: {
      x: { time: true, range: (u) => shown(u.data[0]?.[0], Date.now() / 1000) },
      y: { range: (u, low, high) => [0, Math.max((high ?? 0) * 1.15, least)] },
    },
    axes: [
      { ...axis, space: 90, size: 28, values: (u, times) => times.map((t) => moment(t, u.scales.x)) },
      { ...axis, size: 76, space: 36, ...(STEPS[steps] && { incrs: STEPS[steps] }), values: (u, values) => values.map(say) },
    ],
    series: [{}, ...drawn],
  };
}

/** `at` are times in milliseconds; `series` are {name, tone, values, thin, fill}; `say` writes a value; the axis reaches to `least`. */
export function Chart({ label, at, series, say, least = 1, steps }) {
  const place = useRef(), plot = useRef();
  const data = [at.map((ms) => ms / 1000), ...series.map((one) => one.values)];
  const fresh = useRef();
  fresh.current = data;
  useEffect(() => {
    const element = place.current;
    const make = () => {
      plot.current?.destroy();
      plot.current = new window.uPlot(options({ series, say, least, steps }, element.clientWidth), fresh.current, element);
    };
    make();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    sized.observe(place.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    window.addEventListener("theme", make);
    return () => {
      sized.disconnect();
      dark.removeEventListener("change", make);
      window.removeEventListener("theme", make);
      plot.current.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [at]);
  const last = (one) => one.values.findLast((value) => value != null);
  const said = series.map((one) => `${one.name} ${say(last(one))}`).join(", ");
  return html`
    <div class="chart" role="img" aria-label=${`${label}: ${said}`} ref=${place}></div>
    <div class="legend">${series.filter((one) => !one.thin).map((one) => html`
      <span class=${one.tone}><i></i>${one.name} <b>${say(last(one))}</b></span>`)}</div>`;
}
