"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const column = Object.fromEntries(data.columns.map((name, place) => [name, place]));
  const rows = data.rows;
  const last = rows.length - 1;
  const video = document.querySelector("video");
  const timeline = document.getElementById("timeline");
  const readout = document.getElementById("readout");
  const value = (index, name) => rows[index][column[name]];

  // What a frame's row says in words; also the marks of the timeline.
  const MARKS = [
    ["no person found", (i) => value(i, "person_found") === false],
    ["no face found", (i) => value(i, "face_found") === false],
    ["cut in the driving video", (i) => value(i, "cut") === true],
    ["pose repaired", (i) => ["held", "replaced", "filled"].includes(value(i, "pose"))],
    ["tried again", (i) => value(i, "tries") > 1],
  ];
  const marksOf = (index) => MARKS.filter(([, holds]) => holds(index)).map(([name]) => name);
  const number = (x, digits) => (x === null || x === undefined ? "not measured" : x.toFixed(digits));
  const describe = (index) => [
    `Frame ${index} at ${value(index, "time").toFixed(2)} s`,
    `face similarity ${number(value(index, "face_similarity"), 3)}`,
    `texel change ${number(value(index, "stability"), 2)}`,
    ...marksOf(index),
  ].join(", ");

  const NAMESPACE = "http://www.w3.org/2000/svg";
  const HEIGHT = 240, LEFT = 34, RIGHT = 8, LANE = 84;
  let width = 1000, cursor = null, shown = 0;
  const draw = (parent, name, attributes, text) => {
    const element = document.createElementNS(NAMESPACE, name);
    for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  };
  const x = (index) => LEFT + (last ? index / last : 0.5) * (width - LEFT - RIGHT);

  // Long videos: the least and the largest value of each column of pixels, so that no peak is lost.
  const thinned = (name) => {
    const points = [], size = Math.max(1, Math.ceil(rows.length / 600));
    for (let begin = 0; begin <= last; begin += size) {
      let low = null, high = null, gap = false;
      for (let i = begin; i < Math.min(begin + size, rows.length); i++) {
        const found = value(i, name);
        if (found === null) { gap = true; continue; }
        if (low === null || found < value(low, name)) low = i;
        if (high === null || found > value(high, name)) high = i;
      }
      if (low === null || gap) points.push(null);
      if (low !== null) points.push(...[...new Set([low, high])].sort((a, b) => a - b));
    }
    return points;
  };
  const lane = (svg, name, style, top, low, high, label) => {
    const y = (v) => top + LANE - ((v - low) / (high - low || 1)) * LANE;
    for (const v of [low, high]) {
      draw(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v) });
      draw(svg, "text", { x: LEFT - 5, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(Math.abs(high) < 10 ? 1 : 0));
    }
    let path = "", pen = false, alone = null;
    const dot = () => { if (alone !== null) draw(svg, "circle", { class: style, cx: x(alone), cy: y(value(alone, name)), r: 2.5 }); };
    for (const i of thinned(name)) {
      if (i === null) { dot(); alone = null; pen = false; continue; }
      path += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(value(i, name)).toFixed(1)}`;
      alone = pen ? null : i;
      pen = true;
    }
    dot();
    draw(svg, "path", { class: style, d: path });
    draw(svg, "text", { x: LEFT + 5, y: top + LANE - 5 }, label);
    return y;
  };
  const range = (name) => rows.reduce(([a, b], row) => {
    const v = row[column[name]];
    return v === null ? [a, b] : [Math.min(a, v), Math.max(b, v)];
  }, [Infinity, -Infinity]);

  const [lowest] = range("face_similarity"), [, most] = range("stability");
  const marked = [];
  for (let i = 0; i <= last; i++) if (marksOf(i).length) marked.push(i);
  const render = () => {
    width = Math.max(240, timeline.clientWidth);
    timeline.replaceChildren();
    const svg = draw(timeline, "svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    const floor = Math.min(0, Math.floor(lowest === Infinity ? 0 : lowest));
    const y = lane(svg, "face_similarity", "face", 8, floor, 1, "face similarity");
    if (data.threshold !== null) {
      draw(svg, "line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(data.threshold), y2: y(data.threshold) });
    }
    lane(svg, "stability", "change", 108, 0, Math.max(1, most === -Infinity ? 1 : Math.ceil(most)), "texel change from the frame before");
    let drawnAt = -10;
    for (const i of marked) {
      if (x(i) - drawnAt < 1.5) continue;
      drawnAt = x(i);
      draw(svg, "path", { class: "mark", d: `M${drawnAt - 3} 216h6l-3 -8z` });
    }
    draw(svg, "text", { x: LEFT + 5, y: 233 }, marked.length ? "events" : "no events on frames");
    cursor = draw(svg, "line", { class: "cursor", x1: x(shown), x2: x(shown), y1: 0, y2: HEIGHT });
  };
  render();
  let drawn = timeline.clientWidth;
  new ResizeObserver(() => {
    if (timeline.clientWidth === drawn) return;
    drawn = timeline.clientWidth;
    render();
  }).observe(timeline);

  const show = (index) => {
    shown = index;
    cursor.setAttribute("x1", x(index));
    cursor.setAttribute("x2", x(index));
    timeline.setAttribute("aria-valuenow", index);
    timeline.setAttribute("aria-valuetext", describe(index));
  };
  const seek = (index) => {
    index = Math.max(0, Math.min(last, index));
    if (video) {
      video.pause();
      video.currentTime = (index + 0.5) / data.fps; // the middle of the frame: its edges belong to two
    }
    show(index);
    readout.textContent = describe(index);
  };
  timeline.setAttribute("aria-valuemax", last);
  const at = (event) => {
    const place = event.clientX - timeline.getBoundingClientRect().left;
    return Math.round(((place - LEFT) / (width - LEFT - RIGHT)) * last);
  };
  timeline.addEventListener("pointerdown", (event) => { timeline.setPointerCapture(event.pointerId); seek(at(event)); });
  timeline.addEventListener("pointermove", (event) => { if (event.buttons) seek(at(event)); });
  const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
  timeline.addEventListener("keydown", (event) => {
    if (event.key === " " && video) (video.paused ? video.play() : video.pause());
    else if (event.key in KEYS) seek(shown + KEYS[event.key]);
    else return;
    event.preventDefault();
  });
  if (video) {
    const follow = () => {
      show(Math.max(0, Math.min(last, Math.floor(video.currentTime * data.fps + 1e-3))));
      if (!video.paused) requestAnimationFrame(follow);
    };
    video.addEventListener("play", follow);
    video.addEventListener("seeked", follow);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-frame]");
    if (!button) return;
    seek(Number(button.dataset.frame));
    (video || timeline).scrollIntoView({ block: "nearest" });
  });

  // Runs of frames with the same mark become one entry each.
  const list = document.getElementById("events");
  const entries = [];
  for (const [name, holds] of MARKS) {
    for (let i = 0; i <= last; i++) {
      if (!holds(i)) continue;
      const begin = i;
      while (i < last && holds(i + 1)) i++;
      entries.push([begin, i, name]);
    }
  }
  entries.sort((a, b) => a[0] - b[0]);
  const MOST = 500;
  for (const [begin, end, name] of entries.slice(0, MOST)) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.dataset.frame = begin;
    button.textContent = `${begin === end ? `Frame ${begin}` : `Frames ${begin} to ${end}`}: ${name}`;
    item.appendChild(button);
    list.appendChild(item);
  }
  const note = (text) => { const item = document.createElement("li"); item.textContent = text; list.appendChild(item); };
  if (entries.length > MOST) note(`and ${entries.length - MOST} more, see the CSV`);
  if (!list.children.length) note("Nothing was lost, replaced or changed.");

  const legend = document.getElementById("legend");
  const scale = data.scale === null ? "not measured" : `${data.scale}; dashed: one person's`;
  for (const [style, text] of [["face", `face similarity (${scale})`], ["change", "texel change (grey levels; lower is steadier)"], ["mark", "event"]]) {
    const item = document.createElement("li");
    const sample = draw(item, "svg", { viewBox: "0 0 20 10", "aria-hidden": "true" });
    draw(sample, "path", { class: style, d: style === "mark" ? "M7 9h6l-3 -8z" : "M0 5h20" });
    item.append(text);
    legend.appendChild(item);
  }
  show(0);
  readout.textContent = describe(0);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
