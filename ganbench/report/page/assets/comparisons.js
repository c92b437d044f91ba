"use strict";
// Configurations side by side, effects of single parameters, and quality against cost.
ganbench.comparisons = (() => {
  const { data, state, here, colour, number } = ganbench;
  const { css, plain, short, axis, layout, logarithmic } = ganbench.charts;
  const lower = (metric) => data.metrics[metric];
  const score = (it) => it.scores[state.metric]?.[state.point];
  const better = (metric) => (lower(metric) ? "lower is better" : "higher is better");
  const width = () => (innerWidth < 720 ? 22 : 52);

  function ordered() {
    const sign = lower(state.metric) ? 1 : -1;
    return here().filter(({ it }) => score(it) && score(it)[0] !== null).sort((a, b) => sign * (score(a.it)[0] - score(b.it)[0]));
  }

  function interval([mean, low, high, n]) {
    return low === null ? `${number(mean)} (n=${n})` : `${number(mean)} [${number(low)}, ${number(high)}], n=${n}`;
  }

  function compare(place) {
    const seen = {}, most = Number(state.best);
    const shown = ordered().filter(({ it }) => (seen[it.variant] = (seen[it.variant] || 0) + 1) <= most).slice(0, 60);
    const bound = ganbench.dataset()?.real[state.metric];
    const rows = shown.map((_, index) => -index);
    const means = shown.map(({ it }) => score(it)[0]);
    const log = lower(state.metric) && means.length > 0 && Math.min(...means) > 0 && Math.max(...means) > 20 * Math.min(...means);
    const ends = (part) => shown.map(({ it }) => { const s = score(it); return s[part] === null ? 0 : Math.abs(s[part] - s[0]); });
    const trace = {
      x: means, y: rows, mode: "markers", text: shown.map(({ it }) => `${plain(it.name)}<br>${interval(score(it))}`), hovertemplate: "%{text}<extra></extra>",
      marker: { size: 9, color: shown.map(({ it }) => colour(it.variant)), symbol: shown.map(({ it }) => ganbench.charts.symbol(it.variant)) },
      error_x: { type: "data", symmetric: false, array: ends(2), arrayminus: ends(1), color: css("--soft"), thickness: 1.5, width: 4 },
    };
    ganbench.charts.draw(place, shown.length ? [trace] : [], layout(Math.max(220, 80 + 26 * shown.length), {
      xaxis: axis(`${plain(state.metric)} at ${state.point} (${better(state.metric)})`, log ? logarithmic(means) : { tickformat: ",.4~g" }),
      yaxis: axis("", { tickvals: rows, ticktext: shown.map(({ it }) => plain(short(it.name, width()))), ticks: "", range: [.6 - shown.length, .6], fixedrange: true }),
      ...ganbench.charts.real(bound === undefined ? undefined : log ? (bound > 0 ? bound : undefined) : bound, "x"),
    }));
  }

  // --- matched effects ---

  const where = (it) => `${it.dataset || "all datasets"}, ${it.variant || "all variants"}`;
  const metricOfEffects = () => state.effectMetric;
  function offered() {
    return data.effects.filter((it) => it.metric === metricOfEffects() && (it.axis === state.effectAxis || ["best", "last"].includes(it.axis))
      && (it.dataset === "" || it.dataset === ganbench.dataset()?.name));
  }
  ganbench.effectFits = (it) => it.metric === metricOfEffects() && (it.axis === state.effectAxis || ["best", "last"].includes(it.axis))
    && (!it.dataset || it.dataset === ganbench.dataset()?.name)
    && (!state.effectWhere || state.effectWhere === `${it.dataset || "all datasets"}, ${(it.variant === "all variants" ? "" : it.variant) || "all variants"}`)
    && (!state.effectQuestion || state.effectQuestion === it.question);

  function effectChoices() {
    const distinct = (values) => [...new Set(values)].map((value) => [value, value]);
    const questions = distinct(offered().map((it) => it.question)), places = distinct(offered().map(where));
    return { questions: [["", "all"], ...questions], places: [["", "all"], ...places] };
  }

  function effects(place) {
    const fitting = offered().filter((it) => (!state.effectWhere || where(it) === state.effectWhere) && (!state.effectQuestion || it.question === state.effectQuestion));
    const shown = fitting.slice(0, 40);
    if (!shown.length) return ganbench.charts.empty(place, "No pair of done cells differs in one parameter alone here.");
    const ratio = lower(metricOfEffects()), to = (value) => (value === null ? null : ratio ? Math.exp(value) : value);
    const rows = shown.map((_, index) => -index);
    const shades = { helps: css("--good"), hurts: css("--bad") };
    const ends = (part) => shown.map((it) => (it[part] === null ? 0 : Math.abs(to(it[part]) - to(it.mean))));
    const kinds = { "variant (all else equal)": "all else equal", "variant (best configurations)": "best of each" };
    const narrow = innerWidth < 720;
    const label = (it) => (narrow && it.question in kinds ? `${it.b} vs ${it.a}` : `${kinds[it.question] ?? it.question}: ${it.b} ${narrow ? "vs" : "against"} ${it.a}`);
    const trace = {
      x: shown.map((it) => to(it.mean)), y: rows, mode: "markers", hovertemplate: "%{text}<extra></extra>",
      text: shown.map((it) => `${plain(label(it))}<br>${plain(where(it))}<br>${plain(it.text)}, n=${it.n} of ${it.planned} pairs<br>${it.verdict}`),
      marker: { size: 9, color: shown.map((it) => shades[it.verdict] ?? css("--soft")), symbol: shown.map((it) => (it.verdict === "too few pairs" ? "circle-open" : "circle")) },
      error_x: { type: "data", symmetric: false, array: ends("high"), arrayminus: ends("low"), color: css("--soft"), thickness: 1.5, width: 4 },
    };
    const title = ratio ? `ratio of ${plain(metricOfEffects())} (below 1: better)` : `difference of ${plain(metricOfEffects())} (above 0: better)`;
    const text = (it) => `${short(label(it), width())}${innerWidth < 720 || (it.dataset && !it.variant) ? "" : `  (${it.dataset ? short(it.variant, 16) : "pooled"})`}`;
    const more = fitting.length - shown.length;
    ganbench.charts.draw(place, [trace], layout(100 + 24 * shown.length, {
      xaxis: axis(title + (more && !narrow ? `; ${more} more in the table` : ""), ratio ? logarithmic(shown.flatMap((it) => [to(it.low) ?? to(it.mean), to(it.high) ?? to(it.mean)])) : { tickformat: ",.4~g" }),
      yaxis: axis("", { tickvals: rows, ticktext: shown.map((it) => plain(text(it))), ticks: "", range: [.6 - shown.length, .6], fixedrange: true }),
      ...ganbench.charts.real(ratio ? 1 : 0, "x"),
    }));
  }

  // --- cost ---

  const costs = { seconds: "seconds per cell, training and evaluation", flops: "FLOP of training (matrix products and convolutions)" };

  // The configurations that no other beats in both, from cheap to dear.
  function front(points, isLower) {
    const found = [];
    for (const point of [...points].sort((a, b) => a.cost - b.cost || (isLower ? a.value - b.value : b.value - a.value)))
      if (!found.length || (isLower ? point.value < found.at(-1).value : point.value > found.at(-1).value)) found.push(point);
    return found;
  }

  function cost(place) {
    const known = ordered().map(({ it }) => ({ it, cost: it[state.cost], value: score(it)[0] })).filter((each) => each.cost > 0);
    const best = front(known, lower(state.metric));
    place.dataset.front = JSON.stringify(best.map(({ it }) => it.name));
    const log = known.length > 0 && Math.max(...known.map((each) => each.cost)) > 8 * Math.min(...known.map((each) => each.cost));
    const y = known.map((each) => each.value);
    const logY = lower(state.metric) && y.length > 0 && Math.min(...y) > 0 && Math.max(...y) > 8 * Math.min(...y);
    const points = {
      x: known.map((each) => each.cost), y, mode: "markers", hovertemplate: "%{text}<extra></extra>",
      text: known.map(({ it, cost: spent }) => `${plain(it.name)}<br>${plain(state.metric)} ${interval(score(it))}<br>${state.cost === "seconds" ? `${number(spent)} s per cell` : `${spent.toExponential(2)} FLOP`}`),
      marker: { size: known.length > 60 ? 7 : 9, opacity: .85, color: known.map(({ it }) => colour(it.variant)), symbol: known.map(({ it }) => ganbench.charts.symbol(it.variant)) },
    };
    const line = { x: best.map((each) => each.cost), y: best.map((each) => each.value), mode: best.length > 8 || innerWidth < 720 ? "lines" : "lines+text", line: { color: css("--soft"), width: 1.3, shape: "hv" },
      text: best.map(({ it }) => `\u2002${plain(short(it.name, 30))}\u2002`), textposition: best.map((each) => (each.cost > .6 * Math.max(...known.map((other) => other.cost)) ? "top left" : "top right")),
      textfont: { size: 12, color: css("--ink") }, hoverinfo: "skip", cliponaxis: false };
    ganbench.charts.draw(place, known.length ? [line, points] : [], layout(innerWidth < 720 ? 340 : 420, {
      xaxis: axis(costs[state.cost], log ? { ...logarithmic(known.map((each) => each.cost)), tickformat: ",.3~s" } : { tickformat: ",.3~s", ...(Math.min(...known.map((each) => each.cost)) < .5 * Math.max(...known.map((each) => each.cost)) ? { rangemode: "tozero" } : {}) }),
      yaxis: axis(`${plain(state.metric)} at ${state.point} (${better(state.metric)})`, logY ? logarithmic(y) : { tickformat: ",.4~g" }),
    }));
    key(place, known.map(({ it }) => it.variant));
  }

  // Which colour and mark is which variant.
  function key(place, variants) {
    place.parentElement.querySelector(".legend.key")?.remove();
    const items = [...new Set(variants)].slice(0, 24).map((variant) => {
      const swatch = ganbench.element("span", { class: "swatch" });
      swatch.style.background = colour(variant);
      return ganbench.element("li", {}, swatch, variant);
    });
    place.after(ganbench.element("ul", { class: "legend key", "aria-label": "Variants" }, ...items));
  }

  function start() {
    ganbench.charts.register("compare-chart", compare, ["metric", "point", "best"]);
    ganbench.charts.register("effects-chart", effects, ["effectMetric", "effectAxis", "effectWhere", "effectQuestion"]);
    ganbench.charts.register("cost-chart", cost, ["metric", "point", "cost"]);
  }

  return { start, effectChoices, hasFlops: () => data.configurations.some((it) => it.flops) };
})();
