"use strict";
// Choices, theme, the one dataset that is looked at, and loading again while a run goes on.
(() => {
  const { data, state, set, options, dataset } = ganbench;
  const metrics = Object.keys(data.metrics).map((metric) => [metric, `${metric} ${data.metrics[metric] ? "↓" : "↑"}`]);

  function entries() {
    const { questions, places } = ganbench.comparisons.effectChoices();
    return {
      dataset: data.datasets.map((it, place) => [place, it.name]),
      metric: metrics, axis: Object.entries(data.axes), point: [["best", "best"], ["last", "last"]],
      highlight: [["", "variant"], ...(dataset()?.parameters ?? []).map((it) => [it.name, it.symbol ? `${it.symbol} (${it.name})` : it.name])],
      top: [["1", "best of each variant"], ["3", "best 3 of each variant"], ["-3", "best 3"], ["-8", "best 8"], ["0", "none"]],
      best: ["1", "3", "5", "10"].map((count) => [count, `${count} of each variant`]),
      cost: [["seconds", "seconds"], ...(ganbench.comparisons.hasFlops() ? [["flops", "FLOP"]] : [])],
      effectMetric: metrics, effectAxis: Object.entries(data.effectAxes), effectWhere: places, effectQuestion: questions,
    };
  }

  function fill(changed) {
    for (const [name, known] of Object.entries(entries()))
      for (const select of document.querySelectorAll(`select[data-state="${name}"]`))
        if (!changed || select.options.length !== known.length || select.value !== String(state[name]) || name.startsWith("effect"))
          options(select, known, state[name]);
    document.querySelector('[data-flag="band"]').checked = state.band;
    for (const each of document.querySelectorAll(".per-dataset"))
      each.classList.toggle("screen-hidden", Number(each.dataset.dataset) !== state.dataset);
  }

  function controls() {
    document.getElementById("dataset-choice").hidden = data.datasets.length < 2;
    for (const select of document.querySelectorAll("select[data-state]"))
      select.addEventListener("change", () => {
        const name = select.dataset.state, value = name === "dataset" ? Number(select.value) : select.value;
        set({ [name]: value, ...(name === "cellConfiguration" ? { cellSeed: "" } : {}) });
      });
    for (const box of document.querySelectorAll("[data-flag]"))
      box.addEventListener("change", () => set({ [box.dataset.flag]: box.checked }));
  }

  function theme() {
    const button = document.getElementById("theme"), kinds = ["auto", "light", "dark"];
    let now = "auto";
    try { now = localStorage.getItem("ganbench-theme") ?? "auto"; } catch { /* nothing is kept for files */ }
    const apply = () => {
      if (now === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = now;
      button.textContent = `Theme: ${now}`;
    };
    apply();
    button.addEventListener("click", () => {
      now = kinds[(kinds.indexOf(now) + 1) % kinds.length];
      try { localStorage.setItem("ganbench-theme", now); } catch { /* as above */ }
      apply();
      for (const listener of ganbench.listeners) listener(["theme"]);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const listener of ganbench.listeners) listener(["theme"]);
    });
  }

  function live() {
    if (!data.live) return;
    let paused = false;
    const button = document.getElementById("pause");
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Go on updating" : "Pause updates";
    });
    const busy = () => paused || document.hidden || ["SELECT", "INPUT"].includes(document.activeElement?.tagName) || String(getSelection());
    setInterval(() => { if (!busy()) { ganbench.remember(); location.reload(); } }, data.live * 1000);
    try {
      const { scroll } = JSON.parse(sessionStorage.getItem(`ganbench:${location.pathname}`) || "{}");
      if (scroll) scrollTo({ top: scroll, behavior: "instant" });
    } catch { /* nothing is kept */ }
  }

  controls();
  fill(false);
  theme();
  ganbench.tables.start();
  ganbench.exports.start();
  ganbench.curves.start();
  ganbench.comparisons.start();
  ganbench.samples.start();
  ganbench.listeners.push(() => fill(true));
  ganbench.charts.start();
  live();
})();
