// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
//
// Links open the folded section that they lead to, printing opens all, and every figure can be saved.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const sections = all("details.section");

  // ------------------------------------------------------------------------------------ folding

  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const folded = target && target.closest("details:not([open])");
    if (!folded) return;
    folded.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  for (const link of all(".toc a")) link.addEventListener("click", () => setTimeout(reveal));
  reveal();

  const contents = document.querySelector(".toc");
  const button = (text, action) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.addEventListener("click", action);
    return made;
  };
  const unfold = button("Open all", () => {
    const open = sections.some((section) => !section.open);
    for (const section of sections) section.open = open;
    unfold.textContent = open ? "Close all" : "Open all";
  });
  if (contents) contents.append(unfold);

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = sections.filter((section) => !section.open);
    for (const section of opened) section.open = true;
  });
  addEventListener("afterprint", () => { for (const section of opened) section.open = false; });

  // ------------------------------------------------------------------------- figures as drawings

  // A figure is laid out once more, hidden and with the colours of paper; what the copy shows is
  // written as one SVG whose colours and fonts are plain attributes, so that any program reads it.
  const NS = document.querySelector("svg").namespaceURI;
  const make = (name, attributes) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const paint = (element, name, colour) => {
    const [r, g, b, opacity] = (colour.match(/[\d.]+/g) || []).map(Number);
    element.setAttribute(name, b === undefined ? colour : `rgb(${r},${g},${b})`);
    if (opacity !== undefined) element.setAttribute(`${name}-opacity`, opacity);
  };
  const PLAIN = ["fill-opacity", "stroke-opacity", "stroke-width", "stroke-dasharray",
    "stroke-linecap", "stroke-linejoin", "paint-order", "font-family", "font-size", "font-weight", "text-anchor"];
  const plainSvg = (svg, box) => {
    const made = svg.cloneNode(true), copies = [made, ...all("*", made)];
    [svg, ...all("*", svg)].forEach((element, i) => {
      const style = getComputedStyle(element);
      for (const name of PLAIN)
        copies[i].setAttribute(name, style.getPropertyValue(name).replace(/px/g, ""));
      for (const name of ["fill", "stroke"]) paint(copies[i], name, style.getPropertyValue(name));
      for (const name of ["class", "role", "aria-label", "aria-hidden"]) copies[i].removeAttribute(name);
    });
    for (const [key, value] of Object.entries({ ...box, overflow: "visible" })) made.setAttribute(key, value);
    return made;
  };
  const plainText = (node, origin) => {
    const style = getComputedStyle(node.parentElement), range = document.createRange(), lines = [];
    for (const word of node.data.matchAll(/\S+/g)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const box = range.getBoundingClientRect();
      const line = lines[lines.length - 1];
      if (line && Math.abs(line.box.top - box.top) < 2) line.text += ` ${word[0]}`;
      else if (box.width) lines.push({ box, text: word[0] });
    }
    return lines.map(({ box, text }) => {
      const made = make("text", {
        x: box.left - origin.left, y: box.top - origin.top + 0.79 * box.height,
        "font-family": style.fontFamily, "font-size": parseFloat(style.fontSize), "font-weight": style.fontWeight });
      made.textContent = text;
      paint(made, "fill", style.color);
      return made;
    });
  };

  const drawing = (figure) => {
    const stage = figure.querySelector(".stage"), grid = figure.querySelector("div.grid");
    const room = document.createElement("div");
    room.className = "paper";
    const columns = grid ? Number(grid.style.getPropertyValue("--columns")) : 1;
    room.style.width = `${stage ? stage.clientWidth : grid ? Math.max(440, 330 * columns) : figure.clientWidth}px`;
    document.body.append(room);
    const pixels = all("canvas", figure).map((canvas) => {
      canvas.dispatchEvent(new CustomEvent("save", { detail: room }));
      return canvas.width ? canvas.toDataURL() : "";
    });
    const copy = figure.cloneNode(true);
    room.append(copy);
    if (grid) copy.querySelector("div.grid").style.setProperty("--columns", columns, "important");
    const canvases = all("canvas", copy), origin = copy.getBoundingClientRect();
    const width = origin.width + 16, height = origin.height + 16;
    const whole = make("svg", { xmlns: NS, width, height, viewBox: `-8 -8 ${width} ${height}` });
    const walk = (node) => {
      if (node.nodeType === Node.TEXT_NODE) return whole.append(...plainText(node, origin));
      if (node.nodeType !== Node.ELEMENT_NODE) return;
      const r = node.getBoundingClientRect(), tag = node.tagName.toLowerCase();
      if (!r.width || ["script", "noscript"].includes(tag)) return;
      const box = { x: r.left - origin.left, y: r.top - origin.top, width: r.width, height: r.height };
      const style = getComputedStyle(node);
      if (tag === "svg") return whole.append(plainSvg(node, box));
      if (tag === "img" || tag === "canvas") {
        const href = tag === "img" ? node.src : pixels[canvases.indexOf(node)];
        const fit = style.objectFit === "contain" ? "xMidYMid" : "none";
        return whole.append(make("image", { ...box, href, preserveAspectRatio: fit, style: `image-rendering:${style.imageRendering}` }));
      }
      if (!/^(transparent|rgba\(0, 0, 0, 0\))$/.test(style.backgroundColor)) {
        const back = make("rect", box);
        paint(back, "fill", style.backgroundColor);
        whole.append(back);
      }
      node.childNodes.forEach(walk);
    };
    walk(copy);
    room.remove();
    return { text: new XMLSerializer().serializeToString(whole), width, height };
  };

  const download = (blob, name) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const saveSvg = (figure, name) => download(new Blob([drawing(figure).text], { type: "image/svg+xml" }), `${name}.svg`);
  const savePng = async (figure, name) => {
    const { text, width, height } = drawing(figure), scale = Math.min(4, 8000 / Math.max(width, height));
    const picture = new Image();
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
    const g = canvas.getContext("2d");
    g.fillStyle = "#fff";
    g.fillRect(0, 0, canvas.width, canvas.height);
    g.drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => download(blob, `${name}.png`));
  };

  const title = document.title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  all("main figure").forEach((figure, i) => {
    const name = `${title || "report"}-figure-${i + 1}`;
    const row = Object.assign(document.createElement("div"), { className: "save", textContent: "Save as" });
    row.append(button("SVG", () => saveSvg(figure, name)), button("PNG", () => savePng(figure, name)));
    figure.append(row);
  });
})();
