"use strict";
// The page's data, what is chosen on it, and who wants to know when that changes.
const ganbench = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const listeners = [];
  const key = `ganbench:${location.pathname}`;

  const state = {
    dataset: 0, metric: data.metric, axis: data.axis, highlight: "", top: "1", point: data.at, best: "3",
    cost: "seconds", log: null, band: true, chosen: null, effectMetric: data.metric,
    effectAxis: Object.keys(data.effectAxes)[0], effectWhere: "", effectQuestion: "", cellConfiguration: "",
    cellSeed: "", evaluation: null,
  };

  function remembered() {
    // A page that loads itself again goes on where its reader was; one that was opened begins anew.
    if (!data.live) return;
    try {
      Object.assign(state, JSON.parse(sessionStorage.getItem(key) || "{}"));
    } catch { /* a browser that keeps nothing for files */ }
    if (!data.datasets[state.dataset]) state.dataset = 0;
    if (!(state.metric in data.metrics)) state.metric = data.metric;
  }
  remembered();

  function remember() {
    if (!data.live) return;
    try { sessionStorage.setItem(key, JSON.stringify({ ...state, scroll: window.scrollY })); } catch { /* as above */ }
  }

  function set(changes) {
    if ("dataset" in changes || "top" in changes) changes = { chosen: null, ...changes };
    if ("dataset" in changes) Object.assign(changes, { effectWhere: "", effectQuestion: "", cellConfiguration: "", highlight: "" });
    if ("metric" in changes) changes.log = null;
    Object.assign(state, changes);
    remember();
    for (const listener of listeners) listener(Object.keys(changes));
  }

  const dataset = () => data.datasets[state.dataset];
  // The configurations of the dataset that is looked at, with their numbers, best first.
  const here = () => data.configurations.map((it, number) => ({ it, number })).filter(({ it }) => it.dataset === state.dataset);

  // The numbers of the bold configurations: what the reader chose, else the best of each variant, or of all.
  function chosen() {
    if (state.chosen) return state.chosen.filter((number) => data.configurations[number]?.dataset === state.dataset);
    const count = Number(state.top), seen = {};
    const known = here().filter(({ it }) => it.curves[state.metric]);
    if (count < 0) return known.slice(0, -count).map(({ number }) => number);
    return known.filter(({ it }) => (seen[it.variant] = (seen[it.variant] || 0) + 1) <= count).map(({ number }) => number);
  }

  function choose(number, on) {
    const now = chosen().filter((other) => other !== number);
    set({ chosen: on ? [...now, number] : now });
  }

  const colour = (variant) => data.colours[variant] || "#888888";
  const variants = () => [...new Set(here().map(({ it }) => it.variant))];

  // As ganbench writes numbers: four significant digits.
  function number(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(3);
    const decimals = size ? Math.min(Math.max(3 - Math.floor(Math.log10(size)), 0), 6) : 0;
    return value.toFixed(decimals);
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    made.append(...children);
    return made;
  }

  function options(select, entries, value) {
    select.replaceChildren(...entries.map(([id, text]) => element("option", { value: id }, text)));
    select.value = entries.some(([id]) => String(id) === String(value)) ? value : entries[0]?.[0] ?? "";
  }

  return { data, state, set, remember, listeners, dataset, here, chosen, choose, colour, variants, number, element, options };
})();
