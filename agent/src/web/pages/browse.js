"use strict";

// What a cgroup does now: asks the agent's own API once a second while the page is seen.

const SECOND = 1000;
const SPAN = 60 * SECOND;
// Limits above this are the kernel's way to say none.
const NO_LIMIT = 2 ** 60;

const at = id => document.getElementById(id);

// As the agent reads the address; what is no such text stays as it is.
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const path = location.pathname.split("/").map(decoded).join("/");
const isDocker = path === "/docker" || path.startsWith("/docker/");
const name = path.replace(/^\/(docker|containers)\/?/, "").replace(/\/$/, "");
const isOverview = isDocker && name === "";

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function drawn(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Each part of a path by itself, so that nothing in a name is taken for part of the address.
const inPath = text => text.split("/").map(encodeURIComponent).join("/");
const linkTo = container => container.aliases
  ? "/docker/" + inPath(container.aliases[0])
  : "/containers" + inPath(container.name);
const nameOf = container => container.aliases ? container.aliases[0] : container.name;

function bytes(value) {
  if (value === undefined) return "unknown";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const perSecond = value => value === undefined ? "unknown" : bytes(value) + "/s";
const cpus = value => value === undefined ? "unknown" : `${value.toFixed(value < 0.1 ? 3 : 2)} CPU`;
const isLimit = value => value !== undefined && value > 0 && value < NO_LIMIT;

async function ask(question) {
  const answer = await fetch("/api/" + question, { cache: "no-store" });
  const text = await answer.text();
  if (!answer.ok) throw Object.assign(new Error(text.trim()), { status: answer.status });
  return JSON.parse(text);
}

// The growth of a counter per second at each reading but the first.
function rates(stats, counter) {
  const points = [];
  for (let i = 1; i < stats.length; i += 1) {
    const [before, now] = [counter(stats[i - 1]), counter(stats[i])];
    const seconds = (Date.parse(stats[i].timestamp) - Date.parse(stats[i - 1].timestamp)) / SECOND;
    if (before === undefined || now === undefined || now < before || seconds <= 0) continue;
    points.push([Date.parse(stats[i].timestamp), (now - before) / seconds]);
  }
  return points;
}

const values = (stats, value) =>
  stats.map(s => [Date.parse(s.timestamp), value(s)]).filter(point => point[1] !== undefined);
const last = points => points.length === 0 ? undefined : points[points.length - 1][1];

function sum(stats, list, field) {
  const all = list(stats);
  return all === undefined || all.length === 0 ? undefined : all.reduce((total, one) => total + one[field], 0);
}

const received = s => sum(s, s => s.network.interfaces, "rx_bytes");
const sent = s => sum(s, s => s.network.interfaces, "tx_bytes");
const io = operation => s => {
  const all = (s.diskio.io_service_bytes || []).map(d => d.stats[operation]).filter(v => v !== undefined);
  return all.length === 0 ? undefined : all.reduce((a, b) => a + b, 0);
};
const cpuTotal = s => s.cpu.usage.total;

// A round number that is not below the greatest value.
function ceiling(value, isBytes) {
  if (!(value > 0)) return isBytes ? 1024 : 0.01;
  const base = isBytes ? 1024 ** Math.floor(Math.log(value) / Math.log(1024)) : 1;
  const step = 10 ** Math.floor(Math.log10(value / base));
  return [1, 2, 5, 10].map(n => n * step * base).find(n => n >= value);
}

const WIDTH = 520, HEIGHT = 170, LEFT = 84, BOTTOM = 20, TOP = 10;

function chart(title, lines, show, isBytes) {
  const section = make("section");
  section.append(make("h2", title));
  const told = lines.filter(line => line.points.length > 0);
  if (told.length === 0) {
    section.append(make("p", lines.waits ? "Waiting for the second reading." : "No data: nothing tells it here.", { class: "quiet" }));
    return section;
  }
  const end = Math.max(...told.map(line => line.points[line.points.length - 1][0]));
  const top = ceiling(Math.max(...told.flatMap(line => line.points.map(point => point[1]))), isBytes);
  const x = time => LEFT + (WIDTH - LEFT) * (1 - (end - time) / SPAN);
  const y = value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const label = told.map(line => `${line.name} ${show(last(line.points))}`).join(", ");
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${label}` });
  for (const part of [0, 0.5, 1]) {
    svg.append(drawn("line", { x1: LEFT, x2: WIDTH, y1: y(part * top), y2: y(part * top) }));
    svg.append(drawn("text", { x: LEFT - 6, y: y(part * top) + 4, "text-anchor": "end" }, show(part * top)));
  }
  svg.append(drawn("text", { x: LEFT, y: HEIGHT - 5 }, "a minute ago"));
  svg.append(drawn("text", { x: WIDTH, y: HEIGHT - 5, "text-anchor": "end" }, "now"));
  lines.forEach((line, number) => {
    const points = line.points.filter(point => point[0] >= end - SPAN);
    const d = points.map(([time, value], i) => `${i === 0 ? "M" : "L"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
    // A single point would be no line.
    if (points.length === 1) d.push("h1");
    svg.append(drawn("path", { d: d.join(""), class: `line${number}` }));
  });
  const legend = make("p", undefined, { class: "legend" });
  for (const line of lines) legend.append(make("span", `${line.name} ${show(last(line.points))}`));
  section.append(svg, legend);
  return section;
}

function gauge(title, value, share, of) {
  const box = make("div", undefined, { class: "gauge" });
  box.append(make("span", title, { class: "quiet" }), make("strong", value));
  if (share !== undefined) {
    const percent = Math.max(0, Math.min(100, share * 100));
    const bar = make("div", undefined, {
      class: "bar", role: "meter", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-valuenow": Math.round(percent),
    });
    const fill = make("i");
    fill.style.width = `${percent}%`;
    if (percent > 90) fill.className = "full";
    bar.append(fill);
    box.append(bar);
  }
  box.append(make("span", of, { class: "quiet" }));
  return box;
}

const ofPart = (value, whole) => value === undefined || !(whole > 0) ? undefined : value / whole;

function gauges(info, machine, now) {
  const { spec } = info;
  const newest = info.stats[info.stats.length - 1];
  const quota = spec.cpu.quota && spec.cpu.period ? spec.cpu.quota / spec.cpu.period : undefined;
  const mostCpus = quota || machine.num_cores;
  const limited = isLimit(spec.memory.limit) && spec.memory.limit < machine.memory_capacity;
  const memory = limited ? spec.memory.limit : machine.memory_capacity;
  const used = newest && newest.memory.working_set;
  const all = [
    gauge("CPU", cpus(now.cpu), ofPart(now.cpu, mostCpus),
      `of ${mostCpus || "unknown"} CPUs${quota ? " allowed" : ""}`),
    gauge("Memory", bytes(used), ofPart(used, memory), `of ${bytes(memory)}${limited ? " allowed" : ""}`),
  ];
  if (now.received !== undefined) {
    all.push(gauge("Network", perSecond(now.received + now.sent), undefined,
      `${perSecond(now.received)} in, ${perSecond(now.sent)} out`));
  }
  const { process_count: processes, threads_current: threads } = newest ? newest.processes : {};
  if (processes !== undefined) {
    all.push(gauge("Processes", String(processes), undefined, threads === undefined ? "" : `${threads} ${threads === 1 ? "thread" : "threads"}`));
  }
  at("gauges").replaceChildren(...all);
  at("gauges").hidden = false;
}

function charts(stats) {
  const waits = stats.length < 2;
  const lines = (...all) => Object.assign(all.map(([name, points]) => ({ name, points })), { waits });
  const inCpus = counter => rates(stats, counter).map(([time, nanos]) => [time, nanos / 1e9]);
  at("charts").replaceChildren(
    chart("CPU", lines(
      ["all", inCpus(cpuTotal)],
      ["programs", inCpus(s => s.cpu.usage.user)],
      ["kernel", inCpus(s => s.cpu.usage.system)],
    ), cpus, false),
    chart("Memory", Object.assign(lines(
      ["charged", values(stats, s => s.memory.usage)],
      ["working set", values(stats, s => s.memory.working_set)],
      ["programs", values(stats, s => s.memory.rss)],
    ), { waits: false }), bytes, true),
    chart("Network", lines(["received", rates(stats, received)], ["sent", rates(stats, sent)]), perSecond, true),
    chart("Block I/O", lines(["read", rates(stats, io("Read"))], ["written", rates(stats, io("Write"))]), perSecond, true),
  );
}

function disks(newest) {
  const all = newest && newest.filesystem || [];
  if (all.length === 0) {
    at("disks").replaceChildren(make("p", "No data: none is its own, or none was measured yet.", { class: "quiet" }));
    return;
  }
  at("disks").replaceChildren(...all.map(fs =>
    gauge(fs.device, bytes(fs.usage), ofPart(fs.usage, fs.capacity), `of ${bytes(fs.capacity)}`)));
}

function pairs(list, all) {
  list.replaceChildren(...all.flatMap(([key, value]) => [make("dt", key), make("dd", value)]));
}

function describe(info) {
  const { spec } = info;
  const title = nameOf(info) === "/" ? "This machine" : nameOf(info);
  document.title = title;
  at("title").textContent = title;
  const created = spec.creation_time ? `${info.name === "/" ? "up since" : "made"} ${new Date(spec.creation_time).toLocaleString()}` : undefined;
  at("about").textContent = [spec.image, info.id && info.id.slice(0, 12), created].filter(Boolean).join(" · ");
  const crumbs = [make("a", "/", { href: "/containers/" })];
  const parts = info.name.split("/").filter(Boolean);
  parts.forEach((part, i) => {
    if (i > 0) crumbs.push(" / ");
    crumbs.push(" ", make("a", part, { href: "/containers/" + inPath(parts.slice(0, i + 1).join("/")) }));
  });
  at("crumbs").replaceChildren(...crumbs);
  const limit = value => value === undefined ? "unknown" : isLimit(value) ? bytes(value) : "none";
  pairs(at("limits"), [
    ["CPU shares", spec.cpu.limit === undefined ? "unknown" : String(spec.cpu.limit)],
    ["CPU", spec.cpu.quota ? `${spec.cpu.quota / spec.cpu.period} CPUs` : "none"],
    ["Memory", limit(spec.memory.limit)],
    ["Swap", limit(spec.memory.swap_limit)],
    ["Kept for it", isLimit(spec.memory.reservation) ? bytes(spec.memory.reservation) : "none"],
    ["Threads", spec.processes.limit === undefined ? "none" : String(spec.processes.limit)],
  ]);
  const labels = Object.entries(spec.labels || {});
  at("labels-section").hidden = labels.length === 0;
  pairs(at("labels"), labels);
  const below = info.subcontainers || [];
  at("below-section").hidden = below.length === 0;
  const links = below.map(container => {
    const item = make("li");
    item.append(make("a", nameOf(container), { href: linkTo(container) }));
    return item;
  });
  // Rebuilt only when it changes, so that nobody loses the link under the finger.
  const shown = [...at("below").querySelectorAll("a")].map(a => a.getAttribute("href")).join("\n");
  if (shown !== below.map(linkTo).join("\n")) at("below").replaceChildren(...links);
}

function processes(all) {
  const table = at("processes");
  table.hidden = all.length === 0;
  at("no-processes").hidden = all.length > 0;
  const share = value => value === undefined ? "" : `${value.toFixed(1)} %`;
  const rows = all.sort((a, b) => b.percent_cpu - a.percent_cpu || b.rss - a.rss).slice(0, 500).map(p => {
    const row = make("tr");
    row.append(make("td", String(p.pid), { class: "number" }), make("td", p.user), make("td", p.cmd),
      make("td", share(p.percent_cpu), { class: "number" }), make("td", bytes(p.rss), { class: "number" }),
      make("td", p.status), make("td", p.running_time), make("td", p.cgroup_path, { class: "long" }));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
}

const machine = {};

async function showOne() {
  const question = `${isDocker ? "docker" : "containers"}/${inPath(name)}`;
  const answer = await ask(`v1.3/${question}?num_stats=62`);
  const info = isDocker ? Object.values(answer)[0] : answer;
  if (machine.num_cores === undefined) Object.assign(machine, await ask("v1.3/machine"));
  const now = {
    cpu: last(rates(info.stats, cpuTotal).map(([time, nanos]) => [time, nanos / 1e9])),
    received: last(rates(info.stats, received)),
    sent: last(rates(info.stats, sent)),
  };
  describe(info);
  gauges(info, machine, now);
  charts(info.stats);
  disks(info.stats[info.stats.length - 1]);
  at("one").hidden = false;
  return info;
}

async function showProcesses() {
  processes(await ask(`v2.1/ps/${inPath(name)}?type=${isDocker ? "docker" : "name"}`));
}

async function showAll() {
  const all = Object.values(await ask("v1.3/docker/?num_stats=2"));
  const rows = all.map(info => {
    const rate = counter => last(rates(info.stats, counter));
    const newest = info.stats[info.stats.length - 1];
    const nanos = rate(cpuTotal);
    return { info, cpu: nanos === undefined ? undefined : nanos / 1e9, memory: newest && newest.memory.working_set,
      received: rate(received), sent: rate(sent) };
  });
  rows.sort((a, b) => nameOf(a.info).localeCompare(nameOf(b.info)));
  at("rows").replaceChildren(...rows.map(({ info, cpu, memory, received, sent }) => {
    const row = make("tr");
    const cell = make("td", undefined, { class: "long" });
    cell.append(make("a", nameOf(info), { href: linkTo(info) }));
    row.append(cell, make("td", info.spec.image || ""));
    // A rate takes two readings.
    const shown = [cpus(cpu), bytes(memory), perSecond(received), perSecond(sent)];
    for (const text of info.stats.length < 2 ? shown.map(text => text === "unknown" ? "…" : text) : shown) {
      row.append(make("td", text, { class: "number" }));
    }
    return row;
  }));
  at("none").hidden = rows.length > 0;
  at("all").hidden = false;
}

function trouble(error) {
  at("trouble").hidden = error === undefined;
  if (error === undefined) return;
  const time = new Date().toLocaleTimeString();
  at("trouble").textContent = error.status === undefined
    ? `The agent does not answer (${time}); what is below is from before.`
    : error.message;
}

async function turn(number) {
  try {
    if (!document.hidden) {
      if (isOverview) await showAll();
      else {
        await showOne();
        if (number % 5 === 0) await showProcesses();
      }
      trouble();
    }
  } catch (error) {
    trouble(error);
  }
  // An agent in trouble, or a container that has gone, is asked about less often.
  setTimeout(turn, at("trouble").hidden ? SECOND : 5 * SECOND, number + 1);
}

if (isOverview) document.title = "Containers";
else at("title").textContent = name === "" ? "This machine" : name;
turn(0);
