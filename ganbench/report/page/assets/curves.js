"use strict";
// Charts: what they share, and the learning curves.
ganbench.charts = (() => {
  const drawn = new Map(); // element -> how it is drawn, and whether what it shows is out of date
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const symbols = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "star", "hexagon"];
  const symbol = (variant) => symbols[Object.keys(ganbench.data.colours).indexOf(variant) % symbols.length];

  // Plotly reads a little markup in texts; names are none.
  const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

  function faded(colour, share) {
    const part = (at) => parseInt(colour.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${share})`;
  }

  const axis = (title, more = {}) => ({
    title: { text: title, font: { size: 13 }, standoff: 8 }, gridcolor: css("--faint"), linecolor: css("--line"), zerolinecolor: css("--line"),
    tickfont: { size: 12 }, automargin: true, ticks: "outside", tickcolor: css("--line"), ...more,
  });
  // Few labels on a logarithmic axis say more than all of them.
  const logarithmic = (values) => {
    const known = values.filter((value) => value > 0);
    const span = known.length ? Math.max(...known) / Math.min(...known) : 1;
    return { type: "log", dtick: span > 30 ? 1 : span > 3 || innerWidth < 720 ? "D2" : "D1", tickformat: ",.4~g", minor: { ticks: "outside", tickcolor: css("--line") } };
  };

  function layout(height, more) {
    return {
      height, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", showlegend: false,
      font: { family: css("--sans"), size: 13, color: css("--ink") }, margin: { l: 64, r: 16, t: 28, b: 48 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--line"), activecolor: css("--soft") },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--ink"), family: css("--sans"), size: 12.5 }, align: "left", namelength: -1 },
      ...more,
    };
  }

  const config = {
    displaylogo: false, responsive: true, scrollZoom: false, doubleClick: "reset",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    toImageButtonOptions: { format: "svg", filename: "ganbench" },
  };

  function draw(element, traces, shape) {
    if (!traces.length) return empty(element, "Nothing to draw: no done cell has these scores.");
    element.querySelector(".empty")?.remove();
    return Plotly.react(element, traces, shape, config);
  }

  function empty(element, why) {
    Plotly.purge(element);
    element.replaceChildren(ganbench.element("p", { class: "empty" }, why));
  }

  function real(value, along) {
    // The score of real test images, as a line across the whole chart.
    if (value === null || value === undefined) return {};
    const line = { type: "line", line: { color: css("--soft"), width: 1.5, dash: "dash" } };
    const place = along === "y" ? { xref: "paper", x0: 0, x1: 1, y0: value, y1: value } : { yref: "paper", y0: 0, y1: 1, x0: value, x1: value };
    return { shapes: [{ ...line, ...place }] };
  }

  function register(id, work, wants) {
    const element = document.getElementById(id);
    if (!element) return;
    drawn.set(element, { work, wants, dirty: true, seen: false });
  }

  function refresh(element) {
    const chart = drawn.get(element);
    if (!chart.seen || !chart.dirty) return;
    chart.dirty = false;
    chart.work(element);
  }

  function start() {
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        drawn.get(entry.target).seen = entry.isIntersecting || drawn.get(entry.target).seen;
        refresh(entry.target);
      }
    }, { rootMargin: "300px" });
    for (const element of drawn.keys()) watch.observe(element);
    ganbench.listeners.push((changed) => {
      for (const [element, chart] of drawn) {
        if (changed.some((name) => name === "theme" || name === "dataset" || chart.wants.includes(name))) chart.dirty = true;
        refresh(element);
      }
    });
    addEventListener("beforeprint", () => {
      for (const [element, chart] of drawn) { chart.seen = true; refresh(element); }
    });
  }

  return { css, symbol, plain, short, faded, axis, logarithmic, layout, draw, empty, real, register, start };
})();

ganbench.curves = (() => {
  const { data, state, here, chosen, colour, number, element } = ganbench;
  const { css, plain, faded } = ganbench.charts;
  const dashes = ["solid", "dash", "dot", "dashdot", "longdash"];
  const distinct = ["#0173b2", "#de8f05", "#029e73", "#cc78bc", "#56b4e9", "#d55e00", "#949494", "#ca9161"];

  function curve(it) {
    const axes = it.curves[state.metric];
    if (!axes || !axes[state.axis]) return null;
    return { ...axes.generator_updates, ...axes[state.axis] };
  }

  // From dark to light where values have an order (viridis), else distinct.
  function valueColours(parameter) {
    const count = parameter.values.length;
    const viridis = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151"];
    const dark = matchMedia("(prefers-color-scheme: dark)").matches && document.documentElement.dataset.theme !== "light"
      || document.documentElement.dataset.theme === "dark";
    const scale = dark ? ["#7a5ab8", "#5f7fd0", "#3fa9b5", "#4cc98f", "#c8e04a"] : viridis;
    return Object.fromEntries(parameter.values.map((value, place) => [value,
      parameter.numeric ? scale[Math.round(place * (scale.length - 1) / Math.max(count - 1, 1))] : distinct[place % distinct.length]]));
  }

  function isLog(values, low) {
    if (state.log !== null) return state.log;
    return data.metrics[state.metric] && low > 0 && Math.max(...values) > 2 * low;
  }

  // The bold lines: hue of the variant or of the value, a dash for the place among those of the same hue.
  function looks(shown, hue) {
    const seen = {};
    return new Map(shown.map(({ it, number }) => {
      const place = (seen[hue(it)] = (seen[hue(it)] ?? -1) + 1);
      return [number, { colour: hue(it), dash: dashes[place % dashes.length] }];
    }));
  }

  function draw(place) {
    const known = here().map((each) => ({ ...each, line: curve(each.it) })).filter(({ line }) => line);
    const bold = new Set(chosen());
    const parameter = ganbench.dataset()?.parameters.find((each) => each.name === state.highlight);
    const values = parameter && valueColours(parameter);
    const hue = (it) => (parameter ? values[it.values[parameter.name]] ?? css("--soft") : colour(it.variant));
    const top = known.filter(({ number }) => bold.has(number)), rest = known.filter(({ number }) => !bold.has(number));
    const look = looks(top, hue);
    const traces = [];
    // All faint lines of one hue are one trace with gaps: hundreds of traces are slow.
    const hues = Map.groupBy ? Map.groupBy(rest, ({ it }) => hue(it)) : grouped(rest, ({ it }) => hue(it));
    for (const [shade, lines] of hues) {
      const [x, y, text, customdata] = [[], [], [], []];
      for (const { it, number: at, line } of lines) {
        line.x.forEach((value, index) => { x.push(value); y.push(line.mean[index]); text.push(plain(it.name)); customdata.push(at); });
        x.push(null); y.push(null); text.push(""); customdata.push(null);
      }
      traces.push({ x, y, text, customdata, mode: "lines", line: { color: faded(shade.startsWith("#") ? shade : "#888888", parameter ? .6 : .3), width: 1.2 },
        hovertemplate: "%{text}<br>%{y:.4~g} at %{x:,.6~g}<extra></extra>" });
    }
    for (const { it, number: at, line } of top) {
      const { colour: shade, dash } = look.get(at);
      const markers = line.x.length <= 40;
      if (state.band && line.n > 1) {
        traces.push({ x: [...line.x, ...line.x.toReversed()], y: [...line.high, ...line.low.toReversed()], fill: "toself", mode: "none",
          fillcolor: faded(shade, .13), hoverinfo: "skip" });
      }
      traces.push({ x: line.x, y: line.mean, name: plain(it.name), customdata: line.x.map(() => at), mode: markers ? "lines+markers" : "lines",
        line: { color: shade, width: 2.4, dash }, marker: { symbol: ganbench.charts.symbol(it.variant), size: 7, color: shade },
        text: line.x.map((_, index) => `${number(line.mean[index])}${line.n > 1 ? ` (${number(line.low[index])} to ${number(line.high[index])}, ${line.n} seeds)` : " (one seed)"}`),
        hovertemplate: `${plain(it.name)}<br>${plain(state.metric)} %{text}<br>%{x:,.6~g} ${data.axes[state.axis]}<extra></extra>` });
    }
    const all = known.flatMap(({ line }) => line.mean).filter((value) => value !== null);
    const low = Math.min(...all), bound = ganbench.dataset()?.real[state.metric];
    const log = all.length > 0 && isLog(all, low);
    document.querySelector('[data-flag="log"]').checked = log;
    const shape = ganbench.charts.real(bound, "y");
    const arrow = data.metrics[state.metric] ? "lower is better" : "higher is better";
    const y = ganbench.charts.axis(`${plain(state.metric)} (${arrow})`, log ? ganbench.charts.logarithmic(all) : { tickformat: ",.4~g" });
    if (all.length) y.range = span(all, bound, log);
    ganbench.charts.draw(place, traces, ganbench.charts.layout(innerWidth < 720 ? 340 : 460, {
      xaxis: ganbench.charts.axis(data.axes[state.axis], { tickformat: ",.4~s", rangemode: "tozero" }), yaxis: y, ...shape,
    }));
    place.removeAllListeners?.("plotly_click");
    place.on?.("plotly_click", ({ points }) => {
      const at = points.find((point) => typeof point.customdata === "number")?.customdata;
      if (at !== undefined) ganbench.choose(at, !bold.has(at));
    });
    legend(top, look, parameter, values, bound);
  }

  // The curves fill the chart; real images only where that leaves them two thirds of it.
  function span(values, bound, log) {
    const to = log ? Math.log10 : (value) => value;
    const known = values.filter((value) => !log || value > 0).map(to);
    let [low, high] = [Math.min(...known), Math.max(...known)];
    const room = high - low || Math.abs(high) * .1 || 1;
    if (bound !== undefined && (!log || bound > 0)) {
      const at = to(bound);
      if (at < low && low - at < room / 2) low = at;
      if (at > high && at - high < room / 2) high = at;
    }
    return [low - .05 * room, high + .05 * room];
  }

  function grouped(list, by) {
    const found = new Map();
    for (const each of list) found.set(by(each), [...(found.get(by(each)) ?? []), each]);
    return found;
  }

  function sample(shade, dash) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const patterns = { solid: "", dash: "6 3", dot: "2 2", dashdot: "6 2 2 2", longdash: "10 3" };
    for (const [name, value] of Object.entries({ x1: 0, x2: 26, y1: 5, y2: 5, stroke: shade, "stroke-width": 3, "stroke-dasharray": patterns[dash] })) line.setAttribute(name, value);
    svg.setAttribute("aria-hidden", "true");
    svg.append(line);
    return svg;
  }

  function legend(top, look, parameter, values, bound) {
    const entries = top.map(({ it, number: at }) => {
      const button = element("button", { type: "button", class: "plain", "aria-label": `not bold: ${it.name}`, title: "not bold" }, "×");
      button.addEventListener("click", () => ganbench.choose(at, false));
      const seeds = it.n === it.planned ? "" : ` (${it.n} of ${it.planned} seeds)`;
      return element("li", {}, sample(look.get(at).colour, look.get(at).dash), `${it.name}${seeds}`, button);
    });
    if (bound !== undefined) entries.push(element("li", {}, sample(css("--soft"), "dash"), `real test images: ${number(bound)}`));
    document.getElementById("curves-legend").replaceChildren(...entries);
    const shown = parameter ? parameter.values.map((value) => element("li", {}, sample(values[value], "solid"), value)) : [];
    document.getElementById("curves-values").replaceChildren(...shown);
    const names = here().filter(({ it, number: at }) => Object.keys(it.curves).length && !top.some((each) => each.number === at));
    document.getElementById("names").replaceChildren(...names.map(({ it }) => element("option", { value: it.name })));
  }

  function start() {
    ganbench.charts.register("curves-chart", draw, ["metric", "axis", "highlight", "log", "band", "chosen", "top"]);
    const add = document.getElementById("add");
    add?.addEventListener("change", () => {
      const found = here().find(({ it }) => it.name === add.value);
      if (found) { ganbench.choose(found.number, true); add.value = ""; }
    });
  }

  return { start };
})();
