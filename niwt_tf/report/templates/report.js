"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Controls do nothing without this script, so they are hidden until it runs.
  all(".controls").forEach(element => { element.hidden = false; });

  const root = document.documentElement;
  const scheme = document.getElementById("scheme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.scheme ? root.dataset.scheme === "dark" : system.matches);
  const label = () => { scheme.textContent = isDark() ? "Light" : "Dark"; };
  try {
    const kept = localStorage.getItem("niwt-scheme");
    if (kept === "dark" || kept === "light") root.dataset.scheme = kept;
  } catch { /* storage may be forbidden */ }
  scheme.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    try { localStorage.setItem("niwt-scheme", root.dataset.scheme); } catch { /* storage may be forbidden */ }
    label();
  });
  system.addEventListener("change", label);
  label();
  document.getElementById("print").addEventListener("click", () => print());

  // Paper shows what is folded away.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach(element => { element.open = true; });
  });
  addEventListener("afterprint", () => {
    folded.forEach(element => { element.open = false; });
  });

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const asNumber = text => (/^[+-]?[\d.,]+(e[+-]?\d+)?( %)?$/i.test(text) ? parseFloat(text.replace(/,/g, "")) : NaN);
  all("table.sortable").forEach(table => {
    const body = table.tBodies[0];
    const headers = all("thead th", table);
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const numeric = header.classList.contains("number");
        const before = header.getAttribute("aria-sort");
        const order = before === "none" ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
        headers.forEach(other => other.setAttribute("aria-sort", other === header ? order : "none"));
        const sign = order === "ascending" ? 1 : -1;
        const collator = new Intl.Collator(undefined, { numeric: true });
        const rows = [...body.rows].map(row => ({ row, text: key(row, column) }));
        rows.forEach(each => { each.number = numeric ? asNumber(each.text) : NaN; });
        rows.sort((a, b) => {
          // What is missing comes last whatever the direction.
          const missing = numeric ? Number.isNaN(a.number) - Number.isNaN(b.number) : !a.text - !b.text;
          return missing || sign * (numeric ? a.number - b.number : collator.compare(a.text, b.text)) || 0;
        });
        body.append(...rows.map(each => each.row));
      });
    });
  });

  // On a phone, where a page would be forty screens long, lists begin with a few and sections are closed; the style says where.
  const firsts = new Map();
  const shorten = list => {
    const fold = firsts.get(list);
    const shown = [...list.children].filter(item => !item.hidden);
    shown.forEach((item, place) => item.classList.toggle("beyond", !fold.opened && place >= fold.first));
    fold.button.hidden = fold.opened || shown.length <= fold.first;
    fold.button.textContent = `Show all ${shown.length}`;
  };
  all("[data-first]").forEach(list => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "all";
    firsts.set(list, { button, first: Number(list.dataset.first), opened: false });
    button.addEventListener("click", () => {
      firsts.get(list).opened = true;
      const next = list.querySelector(".beyond");
      shorten(list);
      next?.setAttribute("tabindex", "-1");
      next?.focus();
    });
    list.after(button);
    shorten(list);
  });
  const opening = (section, isOpen) => {
    section.classList.toggle("folded", !isOpen);
    section.querySelector(".fold")?.setAttribute("aria-expanded", String(isOpen));
  };
  all("section[data-fold]").forEach(section => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fold";
    const title = section.querySelector("h2");
    button.setAttribute("aria-label", `Show ${title.textContent.trim()}`);
    title.append(button);
    title.addEventListener("click", () => opening(section, section.classList.contains("folded")));
    opening(section, false);
  });
  const openTarget = () => {
    const section = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("section");
    if (section) opening(section, true);
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  // The section that is read is marked in the navigation, and kept in sight there.
  const links = new Map(all(".contents a").map(link => [document.getElementById(link.hash.slice(1)), link]));
  links.delete(null);
  links.forEach((link, section) => link.addEventListener("click", () => opening(section, true)));
  // A link that is pressed stays under the finger: the page may still be scrolling, and a click that ends elsewhere is none.
  let pressed = false, waiting = false, current = null;
  const keepInSight = () => {
    waiting = pressed;
    if (pressed) return;
    const bar = current.closest("ul");
    bar.scrollTo({ left: current.offsetLeft - bar.offsetLeft - (bar.clientWidth - current.offsetWidth) / 2, behavior: "instant" });
  };
  document.querySelector(".contents").addEventListener("pointerdown", () => { pressed = true; });
  // What was swiped stays where it is; only a move that had to wait is done.
  ["pointerup", "pointercancel"].forEach(kind => addEventListener(kind, () => setTimeout(() => {
    pressed = false;
    if (waiting) keepInSight();
  })));
  const reading = new IntersectionObserver(entries => entries.forEach(({ target, isIntersecting }) => {
    if (!isIntersecting) return;
    current?.removeAttribute("aria-current");
    current = links.get(target);
    current.setAttribute("aria-current", "true");
    keepInSight();
  }), { rootMargin: "-30% 0px -69% 0px" });
  links.forEach((link, section) => reading.observe(section));

  all(".filter").forEach(controls => {
    const list = document.getElementById(controls.dataset.filters);
    const items = [...list.children];
    const search = controls.querySelector("input[type=search]");
    const choice = controls.querySelector("select");
    const only = controls.querySelector("input[type=checkbox]");
    const buttons = all("button[data-kind]", controls);
    const output = controls.querySelector("output");
    const apply = () => {
      const words = search ? search.value.trim().toLowerCase() : "";
      const pressed = buttons.find(button => button.getAttribute("aria-pressed") === "true");
      const kind = pressed ? pressed.dataset.kind : choice ? choice.value : only && only.checked ? only.value : "";
      let shown = 0;
      items.forEach(item => {
        item.hidden = !((!kind || item.dataset.kind === kind) && (!words || item.dataset.text.includes(words)));
        shown += !item.hidden;
      });
      if (firsts.has(list)) shorten(list);
      output.textContent = `${shown} of ${items.length} shown${shown ? "" : `: ${controls.dataset.none}`}`;
    };
    buttons.forEach(button => button.addEventListener("click", () => {
      buttons.forEach(other => other.setAttribute("aria-pressed", String(other === button)));
      apply();
    }));
    [search, choice, only].forEach(control => control && control.addEventListener("input", apply));
  });

  // A box with more to the side says so; one in a closed section gets its width when that opens.
  const watch = new ResizeObserver(entries => entries.forEach(({ target }) => {
    target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  }));
  all(".scroll").forEach(box => watch.observe(box));

  const copy = document.getElementById("copy");
  copy?.addEventListener("click", async () => {
    const commands = document.getElementById("commands");
    const said = copy.parentElement.querySelector("output");
    try {
      await navigator.clipboard.writeText(commands.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(commands);
      said.textContent = "Selected. Copy it with the keyboard.";
    }
  });

  const data = document.getElementById("cells");
  const matrix = document.getElementById("confusion-matrix");
  if (data && matrix) {
    const { margin, size, names, totals, cells } = JSON.parse(data.textContent);
    const counts = new Map(cells[2].map((count, place) => [cells[0][place] * names.length + cells[1][place], count]));
    const said = document.getElementById("cell");
    const read = event => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.getScreenCTM().inverse());
      const row = Math.floor((at.y - margin) / size), column = Math.floor((at.x - margin) / size);
      if (row < 0 || column < 0 || row >= names.length || column >= names.length) return;
      const count = counts.get(row * names.length + column) ?? 0;
      said.textContent = `${names[row]} classified as ${names[column]}: ${count} of ${totals[row]} images`;
    };
    ["pointermove", "pointerdown"].forEach(kind => matrix.addEventListener(kind, read));
  } else {
    document.getElementById("cell")?.remove();
  }
})();
