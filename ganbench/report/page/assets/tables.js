"use strict";
// Tables that sort and filter. They are in the page as HTML, so that they can be read and printed without any of this.
ganbench.tables = (() => {
  const { data, state, element, options } = ganbench;
  const known = {};
  const number = (text) => (text === "" || text === null ? NaN : Number(text));
  const missingLast = (direction) => (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return direction * (x - y);
  };
  DataTable.ext.type.order["missing-last-asc"] = missingLast(1);
  DataTable.ext.type.order["missing-last-desc"] = missingLast(-1);

  const words = {
    search: "Search", info: "_TOTAL_ rows", infoEmpty: "no rows", infoFiltered: "of _MAX_",
    emptyTable: "no rows", zeroRecords: "no row fits: clear a filter", lengthMenu: "_MENU_",
  };

  function make(table) {
    const rows = table.tBodies[0].rows.length;
    const most = table.dataset.name.startsWith("leaderboard-") ? 50 : 20;
    const heads = [...table.tHead.rows[0].cells];
    const columnDefs = heads.map((head, target) => ({
      targets: target,
      type: head.classList.contains("number") ? "missing-last" : "string",
      orderable: head.dataset.key !== "" && head.dataset.key !== "log",
      searchable: head.dataset.key !== "",
    }));
    const made = new DataTable(table, {
      order: [], autoWidth: false, pageLength: most, paging: rows > most, columnDefs, language: words,
      layout: { topStart: null, topEnd: null, bottomStart: rows > 10 ? "info" : null, bottomEnd: rows > most ? "paging" : null },
    });
    known[table.dataset.name] = made;
    const search = document.querySelector(`[data-search="${CSS.escape(table.dataset.name)}"]`);
    search?.addEventListener("input", () => made.search(search.value).draw());
    return made;
  }

  // Filters of a leaderboard: by variant, by every parameter that varies, by what became of the configuration.
  function filters(table, made, place) {
    const wanted = {};
    const of = (row) => data.configurations[row.dataset.configuration];
    const mine = [...table.tBodies[0].rows].map(of).filter(Boolean);
    const add = (name, label, values, fits) => {
      if (values.length < 2) return;
      const select = element("select", { "data-filter": name });
      options(select, [["", "all"], ...values.map((value) => [value, value])], "");
      select.addEventListener("change", () => {
        wanted[name] = select.value && ((it) => fits(it, select.value));
        made.search.fixed("filters", (text, values, index) => {
          const it = of(made.row(index).node());
          return !it || Object.values(wanted).every((fitting) => !fitting || fitting(it));
        }).draw();
      });
      place.append(element("label", {}, `${label} `, select));
    };
    const distinct = (values) => [...new Set(values)];
    add("variant", "Variant", distinct(mine.map((it) => it.variant)), (it, value) => it.variant === value);
    for (const parameter of data.datasets[mine[0]?.dataset]?.parameters ?? []) {
      const fits = (it, value) => it.values[parameter.name] === value;
      add(`parameter ${parameter.name}`, parameter.symbol || parameter.name, parameter.values, fits);
    }
    add("status", "Status", distinct(mine.map((it) => it.status)), (it, value) => it.status === value);
  }

  // A box before every configuration that has curves, to make it bold in the charts.
  function boxes(table) {
    for (const row of table.tBodies[0].rows) {
      const at = Number(row.dataset.configuration), it = data.configurations[at];
      if (!it || !Object.keys(it.curves).length) continue;
      const box = element("input", { type: "checkbox", "aria-label": `bold in the charts: ${it.name}` });
      box.addEventListener("change", () => ganbench.choose(at, box.checked));
      row.cells[1].prepend(box);
    }
  }

  function tick() {
    const chosen = new Set(ganbench.chosen());
    for (const [name, made] of Object.entries(known)) {
      if (!name.startsWith("leaderboard-")) continue;
      for (const row of made.rows().nodes().toArray()) {
        const on = chosen.has(Number(row.dataset.configuration));
        const box = row.querySelector("input[type=checkbox]");
        if (box) box.checked = on;
        row.classList.toggle("bold", on && Boolean(box));
      }
    }
  }

  function effects() {
    const table = document.querySelector('table[data-name="effects"]');
    if (!table) return;
    const made = known.effects;
    made.search.fixed("effects", (text, values, index) => {
      const row = made.row(index).node();
      return ganbench.effectFits({ dataset: row.dataset.dataset === "all" ? "" : row.dataset.dataset,
        metric: row.dataset.metric, axis: row.dataset.axis, variant: row.cells[1].textContent, question: row.cells[2].textContent });
    }).draw();
  }

  function start() {
    for (const table of document.querySelectorAll("table.data:not([data-plain])")) {
      if (table.dataset.name.startsWith("leaderboard-")) boxes(table);
      const made = make(table);
      const place = document.querySelector(`[data-filters="${CSS.escape(table.dataset.name)}"]`);
      if (table.dataset.name.startsWith("leaderboard-")) filters(table, made, place);
    }
    tick();
    effects();
    ganbench.listeners.push((changed) => {
      if (changed.some((name) => ["chosen", "metric", "top", "dataset"].includes(name))) tick();
      if (changed.some((name) => name.startsWith("effect") || name === "dataset")) effects();
    });
    // On paper there are no pages to turn.
    addEventListener("beforeprint", () => Object.values(known).forEach((made) => made.page.len(-1).draw()));
    addEventListener("afterprint", () => Object.values(known).forEach((made) => made.page.len(made.init().pageLength).draw()));
  }

  return { known, start };
})();
