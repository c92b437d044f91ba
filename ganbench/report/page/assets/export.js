"use strict";
// Tables as files: the rows that a filter leaves, in the order they are sorted in. CSV has the exact numbers as well.
ganbench.exports = (() => {
  function read(name) {
    const table = document.querySelector(`table[data-name="${CSS.escape(name)}"]`);
    const made = ganbench.tables.known[name];
    const body = made ? made.rows({ search: "applied", order: "applied" }).nodes().toArray() : [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells].map((cell) => ({
      key: cell.dataset.key, title: cell.innerText.trim() || cell.textContent.trim(), number: cell.classList.contains("number"),
    }));
    const rows = [...body, ...(table.tFoot ? table.tFoot.rows : [])].map((row) => [...row.cells]);
    return { heads, rows };
  }

  const text = (cell) => (cell.querySelector("pre")?.textContent ?? cell.textContent).trim();
  const drawn = (head) => head.key !== "";

  function csv({ heads, rows }) {
    // A text that a spreadsheet would take for a formula gets an apostrophe; numbers are numbers.
    const quote = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const safe = (value) => quote(/^[=+\-@\t\r\n]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value);
    const parts = heads.map((head, column) => ["mean", "low", "high", "n", "ratio"].filter(
      (part) => rows.some((row) => part in row[column].dataset)));
    const first = heads.flatMap((head, column) => (drawn(head) ? [head.key, ...parts[column].map((part) => `${head.key}_${part}`)] : []));
    const lines = rows.map((row) => heads.flatMap((head, column) => (drawn(head)
      ? [safe(text(row[column]).replace(/^–$/, "")), ...parts[column].map((part) => row[column].dataset[part] ?? "")] : [])));
    return [first.map(quote), ...lines].map((line) => line.join(",")).join("\n") + "\n";
  }

  function markdown({ heads, rows }) {
    const safe = (value) => value.replace(/\s+/g, " ").replace(/[\\`*_{}[\]<>|~$]/g, "\\$&");
    const line = (cells) => `| ${cells.join(" | ")} |`;
    const shown = heads.map(drawn);
    const keep = (cells) => cells.filter((_, column) => shown[column]);
    return [line(keep(heads.map((head) => safe(head.title)))), line(keep(heads.map((head) => (head.number ? "---:" : "---")))),
      ...rows.map((row) => line(keep(row.map((cell) => safe(text(cell))))))].join("\n") + "\n";
  }

  function latex({ heads, rows }) {
    const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$",
      "×": "$\\times$", "↓": "$\\downarrow$", "↑": "$\\uparrow$", "–": "--", "<": "\\textless{}", ">": "\\textgreater{}",
      "β": "$\\beta$", "η": "$\\eta$", "λ": "$\\lambda$", "’": "'" };
    const safe = (value) => value.replace(/\s+/g, " ").replace(/[&%$#_{}]|[\\~^±×↓↑–<>βηλ’]/g, (c) => special[c] ?? `\\${c}`);
    const shown = heads.map(drawn);
    const keep = (cells) => cells.filter((_, column) => shown[column]);
    const line = (cells) => `${keep(cells).join(" & ")} \\\\`;
    return ["% needs \\usepackage{booktabs}", `\\begin{tabular}{${keep(heads.map((head) => (head.number ? "r" : "l"))).join("")}}`,
      "\\toprule", line(heads.map((head) => safe(head.title))), "\\midrule", ...rows.map((row) => line(row.map((cell) => safe(text(cell))))),
      "\\bottomrule", "\\end{tabular}"].join("\n") + "\n";
  }

  const formats = { CSV: [csv, "csv", "text/csv"], Markdown: [markdown, "md", "text/markdown"], LaTeX: [latex, "tex", "application/x-tex"] };

  function content(name, format) {
    return formats[format][0](read(name));
  }

  function download(name, format) {
    const [, suffix, type] = formats[format];
    const link = ganbench.element("a", { download: `${name.replace(/[^\w.-]+/g, "-")}.${suffix}` });
    link.href = URL.createObjectURL(new Blob([content(name, format)], { type: `${type};charset=utf-8` }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function copy(button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch { // a browser that lets no file write to the clipboard
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Selected: copy it now";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  function start() {
    for (const button of document.querySelectorAll("[data-export]"))
      button.addEventListener("click", () => download(button.dataset.table, button.dataset.export));
    for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  }

  return { start, content };
})();
