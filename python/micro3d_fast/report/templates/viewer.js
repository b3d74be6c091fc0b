// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
//
// The 3D view of a report: a labelled volume as one 3D texture, walked ray by ray in WebGL 2.
//
// Vectors are (x, y, z), z up. The texture has two bytes per voxel: red is set if its phase is shown
// (filtered, so that 0.5 is a smooth surface), green is the label itself (fetched, never filtered).
// Without WebGL 2 the page keeps its still picture, which this file hides otherwise.
(() => {
  "use strict";
  const root = document.getElementById("view-3d");
  if (!root) return;
  const pick = (selector) => root.querySelector(selector);
  const canvas = pick("canvas"), stage = pick(".stage"), message = pick(".message");
  const meta = JSON.parse(document.getElementById("view-3d-data").textContent);
  const [nz, ny, nx] = meta.shape, dims = [nx, ny, nz];
  const edge = dims.map((n, i) => n * meta.spacing[2 - i]);
  const size = edge.map((length) => length / Math.max(...edge));
  const reach = Math.hypot(...size) / 2;
  const start = { azimuth: -0.92, elevation: 0.4, zoom: 1 };
  const view = { ...start };
  const hidden = new Set(meta.hidden);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let turning = !calm.matches, smooth = true, orthographic = false, cut = [nx, ny, nz];
  let labels, gl, program, where = {}, texture, lost = false;

  const refuse = (words) => {
    root.classList.remove("live");
    message.textContent = words;
    message.hidden = false;
  };

  const VERTEX = `#version 300 es
    out vec2 uv;
    void main() {
      vec2 p = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
      uv = p; gl_Position = vec4(p, 0.0, 1.0);
    }`;

  const FRAGMENT = `#version 300 es
    precision highp float; precision highp int; precision highp sampler3D;
    uniform sampler3D volume;
    uniform sampler2D palette;
    uniform vec3 dims, size, high, eye, right, up, ahead;
    uniform vec2 lens;
    uniform bool smoothly, orthographic;
    in vec2 uv;
    out vec4 colour;

    float shown(vec3 p) { return textureLod(volume, p / dims, 0.0).r; }
    float around(vec3 p) { return textureLod(volume, p / dims, 1.0).r; }
    vec2 voxel(vec3 p) {
      return texelFetch(volume, clamp(ivec3(floor(p)), ivec3(0), ivec3(dims) - 1), 0).rg;
    }
    bool kept(vec3 p) { return all(greaterThanEqual(p, vec3(0.0))) && all(lessThanEqual(p, high)); }

    float labelNear(vec3 p, vec3 normal) {
      for (int i = 0; i < 3; i++) {
        vec2 v = voxel(p - normal * (0.35 + 0.5 * float(i)));
        if (v.r > 0.5) return v.g;
      }
      for (int i = 0; i < 6; i++) {
        vec3 step = vec3(0.0);
        step[i >> 1] = (i & 1) == 0 ? 0.75 : -0.75;
        vec2 v = voxel(p + step);
        if (v.r > 0.5) return v.g;
      }
      return voxel(p).g;
    }

    void main() {
      colour = vec4(0.0);
      vec3 per = dims / size;
      vec3 aside = uv.x * lens.x * right + uv.y * lens.y * up;
      vec3 world = orthographic ? ahead : normalize(ahead + aside);
      vec3 o = (eye + (orthographic ? aside : vec3(0.0)) + 0.5 * size) * per;
      vec3 d = world * per;
      d += vec3(equal(d, vec3(0.0))) * 1e-6;
      vec3 a = -o / d, b = (high - o) / d;
      vec3 enter = min(a, b), leave = max(a, b);
      float t = max(max(enter.x, enter.y), max(enter.z, 0.0));
      float end = min(leave.x, min(leave.y, leave.z));
      if (end <= t) return;
      vec3 normal = vec3(0.0);
      if (enter.x >= enter.y && enter.x >= enter.z) normal.x = -sign(d.x);
      else if (enter.y >= enter.z) normal.y = -sign(d.y);
      else normal.z = -sign(d.z);

      vec3 p = o + d * t;
      float label = -1.0, open = 1.0;
      bool cap = false;
      if (smoothly) {
        float step = 0.5 / max(abs(d.x), max(abs(d.y), abs(d.z)));
        if (shown(p) >= 0.5) {
          cap = true;
          label = labelNear(p, normal);
        } else {
          for (int i = 0; i < 1200; i++) {
            t += step;
            if (t > end) return;
            p = o + d * t;
            if (shown(p) >= 0.5) {
              float out_ = t - step, in_ = t;
              for (int k = 0; k < 5; k++) {
                float middle = 0.5 * (out_ + in_);
                if (shown(o + d * middle) >= 0.5) in_ = middle; else out_ = middle;
              }
              p = o + d * in_;
              vec3 g = vec3(0.0);
              for (int k = 0; k < 3; k++) {
                vec3 e = vec3(0.0);
                e[k] = 1.0;
                g[k] = shown(p + e) - shown(p - e) + 2.5 * (around(p + 2.0 * e) - around(p - 2.0 * e));
              }
              g *= per;
              normal = dot(g, g) > 1e-9 ? -normalize(g) : -world;
              label = labelNear(p, normal);
              break;
            }
          }
          if (label < 0.0) return;
        }
      } else {
        vec3 c = clamp(floor(p + d * 1e-5), vec3(0.0), max(high - 1.0, 0.0));
        vec3 way = sign(d), delta = abs(1.0 / d);
        vec3 side = (c + max(way, 0.0) - o) / d;
        cap = true;
        for (int i = 0; i < 800; i++) {
          vec2 v = voxel(c + 0.5);
          if (v.r > 0.5) { label = v.g; break; }
          cap = false;
          int k = side.x < side.y ? (side.x < side.z ? 0 : 2) : (side.y < side.z ? 1 : 2);
          t = side[k];
          if (t >= end - 1e-6) return;
          side[k] += delta[k];
          c[k] += way[k];
          normal = vec3(0.0);
          normal[k] = -way[k];
        }
        if (label < 0.0) return;
        p = o + d * t;
      }

      if (!cap) {
        float crowd = 0.0;
        for (int i = 1; i <= 3; i++) {
          vec3 q = p + normal * (2.2 * float(i));
          if (kept(q)) crowd += textureLod(volume, q / dims, float(i) - 0.4).r;
        }
        open = exp(-0.55 * crowd);
      }
      vec3 base = pow(texture(palette, vec2((label * 255.0 + 0.5) / 256.0, 0.5)).rgb, vec3(2.2));
      vec3 light = normalize(-0.75 * ahead + 0.62 * up - 0.34 * right);
      float wrap = max(0.0, (dot(normal, light) + 0.3) / 1.3);
      float sky = 0.5 + 0.5 * dot(normal, up);
      float shine = pow(max(0.0, dot(normal, normalize(light - world))), 36.0);
      vec3 lit = base * (0.24 + 0.18 * sky + 0.88 * wrap) * open + 0.07 * shine * open;
      lit *= 1.06 - 0.10 * clamp(dot(p / per - 0.5 * size, ahead) + 0.5, 0.0, 1.0);
      colour = vec4(pow(min(lit, 1.0), vec3(1.0 / 2.2)), 1.0);
    }`;

  const compile = (kind, source) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
      throw new Error(gl.getShaderInfoLog(shader));
    return shader;
  };

  const upload = () => {
    const texels = new Uint8Array(2 * labels.length);
    for (let i = 0; i < labels.length; i++) {
      texels[2 * i] = hidden.has(labels[i]) ? 0 : 255;
      texels[2 * i + 1] = labels[i];
    }
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.RG8, nx, ny, nz, 0, gl.RG, gl.UNSIGNED_BYTE, texels);
    gl.generateMipmap(gl.TEXTURE_3D);
  };

  const prepare = () => {
    program = gl.createProgram();
    gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compile(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    for (const name of ["volume", "palette", "dims", "size", "high", "eye", "right", "up", "ahead", "lens", "smoothly", "orthographic"])
      where[name] = gl.getUniformLocation(program, name);
    texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    for (const axis of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R])
      gl.texParameteri(gl.TEXTURE_3D, axis, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    upload();
    const colours = new Uint8Array(256 * 4).fill(255);
    meta.palette.forEach((hex, i) => {
      for (let k = 0; k < 3; k++) colours[4 * i + k] = parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
    });
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colours);
    gl.uniform1i(where.volume, 0);
    gl.uniform1i(where.palette, 1);
    gl.uniform3fv(where.dims, dims);
    gl.uniform3fv(where.size, size);
  };

  // ---------------------------------------------------------------- camera and the box around it

  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const camera = () => {
    const { azimuth: a, elevation: e } = view;
    const ahead = [-Math.cos(e) * Math.cos(a), -Math.cos(e) * Math.sin(a), -Math.sin(e)];
    const right = [-Math.sin(a), Math.cos(a), 0];
    const up = [
      -Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
    const wide = stage.clientWidth / Math.max(1, stage.clientHeight);
    const angle = 0.24;                                   // half of the field of view
    const fit = Math.tan(angle) * Math.min(1, wide);
    const room = stage.clientWidth < 480 ? 1.3 : 0.95;   // for the names of the axes
    const distance = room * reach / Math.sin(Math.atan(fit));
    const eye = ahead.map((v) => -v * distance);
    // Half the width and height that are seen: at the distance 1, or anywhere if orthographic.
    const span = (Math.tan(angle) / view.zoom) * (orthographic ? distance : 1);
    return { ahead, right, up, eye, distance, lens: [span * wide, span] };
  };

  const project = (c, p) => {
    const q = p.map((v, i) => v - c.eye[i]);
    const depth = orthographic ? 1 : dot(q, c.ahead);
    return [
      (0.5 + 0.5 * dot(q, c.right) / (depth * c.lens[0])) * stage.clientWidth,
      (0.5 - 0.5 * dot(q, c.up) / (depth * c.lens[1])) * stage.clientHeight];
  };

  const corners = [];
  for (let i = 0; i < 8; i++) corners.push([i & 1, (i >> 1) & 1, i >> 2]);
  const edges = [];                                      // [axis, corner, corner]
  for (let k = 0; k < 3; k++)
    for (let i = 0; i < 8; i++) if (!corners[i][k]) edges.push([k, i, i | (1 << k)]);

  const drawBox = (c) => {
    const at = corners.map((b) => project(c, b.map((v, i) => (v - 0.5) * size[i])));
    const faces = (k, side) => {                         // does the face point to the viewer?
      const normal = [0, 0, 0];
      normal[k] = side ? 1 : -1;
      return normal[k] * (orthographic ? -c.ahead[k] : c.eye[k] - normal[k] * size[k] / 2) > 0;
    };
    const middle = [stage.clientWidth / 2, stage.clientHeight / 2];
    let back = "", front = "";
    for (let k = 0; k < 3; k++) {
      let best = null;
      for (const [axis, i, j] of edges) {
        if (axis !== k) continue;
        const [m, n] = [0, 1, 2].filter((q) => q !== k);
        const one = faces(m, corners[i][m]), two = faces(n, corners[i][n]);
        const line = `<line x1="${at[i][0].toFixed(1)}" y1="${at[i][1].toFixed(1)}" x2="${at[j][0].toFixed(1)}" y2="${at[j][1].toFixed(1)}"/>`;
        if (one || two) front += line; else back += line;
        if (one !== two) {                               // on the outline: place the name here
          const x = (at[i][0] + at[j][0]) / 2, y = (at[i][1] + at[j][1]) / 2;
          const rank = k === 2 ? -x : y;
          if (!best || rank > best.rank) best = { rank, x, y, i, j };
        }
      }
      if (best) {
        let [dx, dy] = [best.x - middle[0], best.y - middle[1]];
        const run = [at[best.j][0] - at[best.i][0], at[best.j][1] - at[best.i][1]];
        const long = Math.hypot(...run) || 1;
        let normal = [-run[1] / long, run[0] / long];
        if (normal[0] * dx + normal[1] * dy < 0) normal = normal.map((v) => -v);
        let x = best.x + 12 * normal[0];
        const y = Math.min(Math.max(best.y + 12 * normal[1], 10), stage.clientHeight - 14);
        if (normal[0] < -0.35) x = Math.max(x, 7.2 * (2 + meta.lengths[k].length));   // keep the text in view
        if (normal[0] > 0.35) x = Math.min(x, stage.clientWidth - 7.2 * (2 + meta.lengths[k].length));
        const anchor = normal[0] > 0.35 ? "start" : normal[0] < -0.35 ? "end" : "middle";
        front += `<text x="${x.toFixed(1)}" y="${(y + 4 + 4 * normal[1]).toFixed(1)}" text-anchor="${anchor}"><tspan class="axis-name">${"xyz"[k]}</tspan> ${meta.lengths[k]}</text>`;
      }
    }
    for (const [name, drawn] of [["back", back], ["front", front + scaleBar(c)]]) {
      const svg = pick(`svg.${name}`);
      svg.setAttribute("viewBox", `0 0 ${stage.clientWidth} ${stage.clientHeight}`);
      svg.innerHTML = drawn;
    }
  };

  // A round length, true at the centre of the volume (anywhere if orthographic).
  const scaleBar = (c) => {
    const unit = stage.clientWidth / (2 * c.lens[0] * (orthographic ? 1 : c.distance)) / meta.longest;
    const most = (0.22 * stage.clientWidth) / unit, power = 10 ** Math.floor(Math.log10(most));
    const length = Math.max(...[1, 2, 5].map((n) => n * power).filter((n) => n <= most));
    const y = stage.clientHeight - 10;
    return `<line class="scale-bar" x1="8" y1="${y}" x2="${(8 + length * unit).toFixed(1)}" y2="${y}"/>` +
      `<text x="8" y="${y - 7}">${Number(length.toPrecision(2))} ${meta.unit}</text>`;
  };

  // ------------------------------------------------------------------------------------ drawing

  let share = 1, last = 0, queued = false, settle = 0, fine = false;
  const render = (scale) => {
    const ratio = Math.min(2, devicePixelRatio || 1) * scale;
    const w = Math.max(1, Math.round(stage.clientWidth * ratio));
    const h = Math.max(1, Math.round(stage.clientHeight * ratio));
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const c = camera();
    gl.viewport(0, 0, w, h);
    for (const name of ["eye", "right", "up", "ahead"]) gl.uniform3fv(where[name], c[name]);
    gl.uniform2fv(where.lens, c.lens);
    gl.uniform3fv(where.high, cut);
    gl.uniform1i(where.smoothly, smooth ? 1 : 0);
    gl.uniform1i(where.orthographic, orthographic ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    drawBox(c);
  };

  let seen = true;
  const frame = (now) => {
    queued = false;
    if (lost) return;
    const moving = turning && seen && !document.hidden;
    const gap = now - last;
    if (moving && last && gap < 1000) {
      view.azimuth += 0.00018 * gap;
      // Coarser pixels while it moves keep the rotation smooth on slow machines.
      if (gap > 45) share = Math.max(0.3, share * 0.85);
      else if (gap < 22) share = Math.min(1, share * 1.03);
    }
    last = now;
    render(fine ? 1.5 : share);
    fine = false;
    clearTimeout(settle);
    if (moving) draw();
    else settle = setTimeout(() => { fine = true; last = 0; draw(); }, 180);
  };
  // A view at rest is drawn once more, finer; then nothing runs.
  let still = "";
  const draw = () => {
    if (fine) {
      const key = JSON.stringify([view, [...hidden], cut, smooth, orthographic, stage.clientWidth, stage.clientHeight]);
      if (key === still) { fine = false; return; }
      still = key;
    } else still = "";
    if (!queued) { queued = true; requestAnimationFrame(frame); }
  };

  // ----------------------------------------------------------------------------------- controls

  const turnButton = pick("[data-do=turn]");
  const setTurning = (on) => {
    turning = on;
    last = 0;
    turnButton.setAttribute("aria-pressed", String(on));
    turnButton.textContent = on ? "Pause" : "Turn";
    draw();
  };
  const rotate = (right, up) => {
    view.azimuth -= right;
    view.elevation = Math.min(1.55, Math.max(-1.55, view.elevation + up));
    draw();
  };
  const zoom = (factor) => {
    view.zoom = Math.min(8, Math.max(0.5, view.zoom * factor));
    draw();
  };
  const reset = () => {
    Object.assign(view, start);
    cut = [nx, ny, nz];
    root.querySelectorAll("input[type=range]").forEach((input) => {
      input.value = input.max;
      input.dispatchEvent(new Event("input"));
    });
    draw();
  };

  const listen = () => {
    turnButton.addEventListener("click", () => setTurning(!turning));
    pick("[data-do=reset]").addEventListener("click", reset);
    pick("[data-do=orthographic]").addEventListener("click", (event) => {
      orthographic = !orthographic;
      event.target.setAttribute("aria-pressed", String(orthographic));
      draw();
    });
    canvas.addEventListener("save", () => { render(2); still = ""; });   // the pixels are read at once
    pick("[data-do=smooth]").addEventListener("change", (event) => {
      smooth = event.target.checked;
      draw();
    });
    root.querySelectorAll("input[data-phase]").forEach((input) =>
      input.addEventListener("change", () => {
        const phase = Number(input.dataset.phase);
        if (input.checked) hidden.delete(phase); else hidden.add(phase);
        upload();
        draw();
      }));
    root.querySelectorAll("input[data-axis]").forEach((input) =>
      input.addEventListener("input", () => {
        cut["xyz".indexOf(input.dataset.axis)] = Number(input.value);
        draw();
      }));

    const fingers = new Map();
    let spread = 0;
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
      spread = 0;
      if (turning) setTurning(false);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY];
      fingers.set(event.pointerId, now);
      if (fingers.size === 1) {
        const gain = 5 / stage.clientHeight;
        rotate((now[0] - before[0]) * gain, (now[1] - before[1]) * gain);
      } else if (fingers.size === 2) {
        const [a, b] = [...fingers.values()];
        const apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) zoom(apart / spread);
        spread = apart;
      }
    });
    for (const kind of ["pointerup", "pointercancel"])
      canvas.addEventListener(kind, (event) => { fingers.delete(event.pointerId); spread = 0; });
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;   // the page may scroll past
      event.preventDefault();
      zoom(Math.exp(-0.0015 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turn = 0.12;
      const keys = {
        ArrowLeft: () => rotate(-turn, 0), ArrowRight: () => rotate(turn, 0),
        ArrowUp: () => rotate(0, turn), ArrowDown: () => rotate(0, -turn),
        "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15),
        " ": () => setTurning(!turning), r: reset, R: reset,
      };
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (event.key.startsWith("Arrow") && turning) setTurning(false);
      act();
    });
    new ResizeObserver(() => draw()).observe(stage);
    new IntersectionObserver((entries) => {
      seen = entries[0].isIntersecting;
      last = 0;
      if (seen) draw();
    }).observe(canvas);
    document.addEventListener("visibilitychange", () => { last = 0; draw(); });
    calm.addEventListener?.("change", () => { if (calm.matches) setTurning(false); });
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      lost = true;
      refuse("The graphics driver dropped the 3D view; this is a still picture of the same volume.");
    });
    canvas.addEventListener("webglcontextrestored", () => {
      prepare();
      lost = false;
      message.hidden = true;
      root.classList.add("live");
      draw();
    });
  };

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const begin = async () => {
    gl = canvas.getContext("webgl2", { alpha: true, premultipliedAlpha: true, antialias: false });
    if (!gl) return refuse("This browser has no WebGL 2; this is a still picture of the volume.");
    if (typeof DecompressionStream === "undefined")
      return refuse("This browser cannot unpack the volume (no DecompressionStream); this is a still picture of it.");
    if (Math.max(...dims) > gl.getParameter(gl.MAX_3D_TEXTURE_SIZE))
      return refuse("The volume is larger than this graphics card's 3D textures; this is a still picture of it.");
    labels = await unpack(meta.data);
    prepare();
    root.classList.add("live");
    listen();
    setTurning(turning);
  };
  begin().catch((error) => refuse(`The 3D view could not start (${error.message}); this is a still picture of the volume.`));
})();
