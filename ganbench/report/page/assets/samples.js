"use strict";
// Sample sheets along training, beside real images. Pictures are files beside the page, loaded when they are looked at.
ganbench.samples = (() => {
  const { data, state, set, options, number } = ganbench;
  const $ = (id) => document.getElementById(id);
  const mine = () => data.cells.filter((cell) => data.configurations[cell.configuration].dataset === state.dataset);
  let current = null;

  // As large as fits by a whole number of the screen's own pixels.
  function fit(image) {
    const room = image.closest("figure").clientWidth - (image.previousElementSibling?.offsetWidth ?? 0) - 8;
    const dots = window.devicePixelRatio || 1, width = image.naturalWidth;
    if (!width || image.naturalHeight < 2) return;
    const wanted = image.closest("figure").classList.contains("wide") ? room : Math.min(room, 620);
    const factor = Math.max(1, Math.floor((wanted * dots) / width));
    image.width = Math.round((width * factor) / dots);
    image.height = Math.round((image.naturalHeight * factor) / dots);
  }

  function show(id, path, text) {
    const figure = $(id), image = figure.querySelector("img");
    figure.hidden = !path;
    if (!path) return;
    image.alt = text;
    if (image.getAttribute("src") !== path) image.src = path;
    else fit(image);
  }

  // 0, 1, …: the classes of the rows, where a sheet has a row per class.
  function classes(cell) {
    const list = $("generated").querySelector(".rows");
    list.replaceChildren(...Array.from({ length: cell.rows ? 10 : 0 }, (_, row) => ganbench.element("li", {}, String(row % cell.rows))));
  }

  function choices() {
    const cells = mine();
    const configurations = [...new Set(cells.map((cell) => cell.configuration))];
    options($select("cellConfiguration"), configurations.map((at) => [at, data.configurations[at].name]), state.cellConfiguration);
    const chosen = Number($select("cellConfiguration").value);
    const seeds = cells.filter((cell) => cell.configuration === chosen);
    options($select("cellSeed"), seeds.map((cell) => [cell.seed, cell.status === "done" ? `${cell.seed}` : `${cell.seed} (${cell.status})`]), state.cellSeed);
    current = seeds.find((cell) => String(cell.seed) === $select("cellSeed").value) ?? null;
    const at = configurations.indexOf(chosen);
    $("previous").disabled = at <= 0;
    $("next").disabled = at < 0 || at >= configurations.length - 1;
  }
  const $select = (name) => document.querySelector(`select[data-state="${name}"]`);

  function step(by) {
    const select = $select("cellConfiguration");
    const to = select.options[select.selectedIndex + by];
    if (to) set({ cellConfiguration: to.value, cellSeed: "" });
  }

  function draw() {
    choices();
    const slider = $("evaluation");
    if (!current) {
      for (const id of ["generated", "real", "neighbours", "interpolation"]) show(id, "", "");
      $("when").textContent = "no cell of this dataset has samples here";
      slider.disabled = true;
      return;
    }
    const { updates, folder, extras, best } = current;
    slider.disabled = updates.length < 2;
    slider.max = Math.max(updates.length - 1, 0);
    const chosen = best === null ? updates.length - 1 : updates.indexOf(best);
    const wanted = state.evaluation === null ? (chosen < 0 ? updates.length - 1 : chosen) : Math.min(state.evaluation, updates.length - 1);
    slider.value = wanted;
    const at = updates[wanted], scores = current.scores[at] ?? {};
    const name = data.configurations[current.configuration].name;
    const said = at === undefined ? "no sheets" : [`${at.toLocaleString("en")} generator updates`,
      ...(scores.epochs ? [`epoch ${number(scores.epochs)}`] : []),
      ...Object.keys(data.metrics).filter((metric) => scores[metric] !== undefined).map((metric) => `${metric} ${number(scores[metric])}`),
      ...(at === best ? ["the chosen snapshot"] : [])].join(" · ");
    $("when").textContent = said;
    slider.setAttribute("aria-valuetext", said);
    classes(current);
    show("generated", at === undefined ? "" : `${folder}/${String(at).padStart(8, "0")}.png`, `100 samples of ${name}, seed ${current.seed}, after ${at} generator updates`);
    show("real", data.real[ganbench.dataset().name] ?? "", `100 real images of ${ganbench.dataset().name}`);
    for (const extra of ["neighbours", "interpolation"])
      show(extra, extras.includes(extra) ? `${folder}/${extra}.png` : "", `${extra} of ${name}, seed ${current.seed}`);
  }

  function start() {
    if (!$("samples")) return;
    for (const image of document.querySelectorAll("#samples .sheet img")) {
      image.addEventListener("load", () => fit(image));
      image.addEventListener("error", () => { image.alt = `this picture is not beside the page (${image.getAttribute("src")})`; });
    }
    $("evaluation").addEventListener("input", () => set({ evaluation: Number($("evaluation").value) }));
    $("previous").addEventListener("click", () => step(-1));
    $("next").addEventListener("click", () => step(1));
    ganbench.listeners.push((changed) => {
      if (changed.some((name) => name.startsWith("cell") || name === "evaluation" || name === "dataset")) draw();
    });
    addEventListener("resize", () => { for (const image of document.querySelectorAll("#samples .sheet img")) fit(image); });
    let begun = false;
    const begin = () => { if (!begun) { begun = true; draw(); } };
    new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) begin(); }, { rootMargin: "400px" }).observe($("samples"));
    addEventListener("beforeprint", begin);
    choices();
  }

  return { start };
})();
