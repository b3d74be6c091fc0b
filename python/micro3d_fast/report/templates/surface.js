// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
//
// A closed surface r(n), such as Young's modulus against direction, drawn face by face from back to
// front on a 2D canvas. Vectors are (x, y, z), z up. The colour shows r too (cividis).
(() => {
  "use strict";
  const CIVIDIS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
    [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
  const colour = (u, light) => {
    const at = Math.min(Math.max(u, 0), 0.9999) * (CIVIDIS.length - 1);
    const i = Math.floor(at), f = at - i;
    const mixed = CIVIDIS[i].map((v, k) => Math.round((v + f * (CIVIDIS[i + 1][k] - v)) * light));
    return `rgb(${mixed.map((v) => Math.min(255, v)).join(",")})`;
  };

  for (const figure of document.querySelectorAll("figure.surface")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const canvas = figure.querySelector("canvas");
    const bar = figure.querySelector(".bar canvas");
    const g = canvas.getContext("2d"), gBar = bar.getContext("2d");
    if (!g) continue;
    figure.classList.add("live");
    for (let i = 0; i < bar.width; i++) {
      gBar.fillStyle = colour(i / bar.width, 1);
      gBar.fillRect(i, 0, 1, bar.height);
    }
    const rows = data.values.length, columns = data.values[0].length;   // polar, azimuth (closed)
    const all = data.values.flat(), top = Math.max(...all), low = Math.min(...all);
    const point = (i, j) => {
      const t = (Math.PI * i) / (rows - 1), p = (2 * Math.PI * j) / columns;
      const r = top > 0 ? data.values[i][j % columns] / top : 0;
      return [r * Math.sin(t) * Math.cos(p), r * Math.sin(t) * Math.sin(p), r * Math.cos(t)];
    };
    const faces = [];
    for (let i = 0; i + 1 < rows; i++)
      for (let j = 0; j < columns; j++) {
        const corners = [point(i, j), point(i + 1, j), point(i + 1, j + 1), point(i, j + 1)];
        const mean = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]]
          .reduce((sum, [a, b]) => sum + data.values[a][b % columns], 0) / 4;
        const [a, b, c, d] = corners;
        const p = c.map((v, k) => v - a[k]), q = d.map((v, k) => v - b[k]);
        const n = [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
        const long = Math.hypot(...n) || 1;
        const normal = n.map((v) => v / long);
        const middle = [0, 1, 2].map((k) => (a[k] + b[k] + c[k] + d[k]) / 4);
        const outward = Math.sign(normal[0] * middle[0] + normal[1] * middle[1] + normal[2] * middle[2]) || 1;
        faces.push({ corners, middle, normal: normal.map((v) => v * outward), u: top > low ? (mean - low) / (top - low) : 0.5 });
      }
    const view = { azimuth: -0.9, elevation: 0.42 };
    const draw = (ratio = Math.min(2, devicePixelRatio || 1), style = getComputedStyle(figure)) => {
      const side = canvas.clientWidth || 400;             // 0 in a folded section
      canvas.width = canvas.height = Math.max(1, Math.round(side * ratio));
      const { azimuth: a, elevation: e } = view;
      const right = [-Math.sin(a), Math.cos(a), 0];
      const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
      const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
      const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
      const scale = 0.37 * canvas.width, half = canvas.width / 2;
      const place = (p) => [half + scale * dot(p, right), half - scale * dot(p, up)];
      const light = [0, 1, 2].map((k) => 0.6 * back[k] + 0.65 * up[k] - 0.35 * right[k]);
      const pieces = faces.map((f) => ({ f, depth: dot(f.middle, back) }));
      const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
      axes.forEach((axis, k) => {                       // short pieces, so that the surface can hide them
        for (let n = 0; n < 24; n++) {
          const from = axis.map((v) => v * (n / 24) * 1.18), to = axis.map((v) => v * ((n + 1) / 24) * 1.18);
          pieces.push({ from, to, name: n === 23 ? "xyz"[k] : "", depth: dot(from, back) });
        }
      });
      pieces.sort((p, q) => p.depth - q.depth);
      g.clearRect(0, 0, canvas.width, canvas.height);
      g.lineJoin = "round";
      for (const piece of pieces) {
        g.beginPath();
        if (piece.f) {
          piece.f.corners.forEach((c, k) => (k ? g.lineTo(...place(c)) : g.moveTo(...place(c))));
          g.closePath();
          const shade = 0.62 + 0.5 * Math.max(0, dot(piece.f.normal, light));
          g.fillStyle = g.strokeStyle = colour(piece.f.u, shade);
          g.lineWidth = 0.7 * ratio;
          g.fill();
          g.stroke();
        } else {
          g.moveTo(...place(piece.from));
          g.lineTo(...place(piece.to));
          g.strokeStyle = style.getPropertyValue("--soft");
          g.lineWidth = 1.2 * ratio;
          g.stroke();
          if (piece.name) {
            g.fillStyle = style.getPropertyValue("--ink");
            g.font = `600 ${13 * ratio}px ${style.getPropertyValue("--sans")}`;
            g.textAlign = "center";
            const [x, y] = place(piece.to.map((v) => v * 1.08));
            g.fillText(piece.name, x, y + 4 * ratio);
          }
        }
      }
    };
    let queued = false;
    const later = () => {
      if (!queued) { queued = true; requestAnimationFrame(() => { queued = false; draw(); }); }
    };
    const turn = (across, upward) => {
      view.azimuth -= across;
      view.elevation = Math.min(1.55, Math.max(-1.55, view.elevation + upward));
      later();
    };
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      last = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      turn((event.clientX - last[0]) * 0.011, (event.clientY - last[1]) * 0.011);
      last = [event.clientX, event.clientY];
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { last = null; });
    canvas.addEventListener("keydown", (event) => {
      const keys = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, 0.12], ArrowDown: [0, -0.12] };
      if (!keys[event.key]) return;
      event.preventDefault();
      turn(...keys[event.key]);
    });
    canvas.addEventListener("save", (event) => { draw(4, getComputedStyle(event.detail)); later(); });
    later();
    new ResizeObserver(later).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener?.("change", later);
  }
})();
