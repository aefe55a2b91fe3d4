"use strict";

// Others upload too: the list is asked for anew as long as somebody looks at it.
const REFRESH_MS = 5000;

const byId = (id) => document.getElementById(id);
const input = byId("file");
const drop = byId("drop");
const table = byId("files");

// Without a script, the field itself is what people use.
drop.classList.add("scripted");

// Uploads go one after another: together they would only share the same line.
const waiting = [];
let busy = false;
let listed = "";

function tell(text) {
  byId("news").textContent = text;
}

function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function add(files) {
  for (const file of files) {
    const item = byId("upload").content.firstElementChild.cloneNode(true);
    const upload = { file, item, request: null };
    item.querySelector(".name").textContent = file.name;
    item.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
    item.querySelector("button").setAttribute("aria-label", `Cancel the upload of ${file.name}`);
    item.querySelector("button").addEventListener("click", () => cancel(upload));
    show(upload, "waiting");
    byId("uploads").append(item);
    byId("uploads-section").hidden = false;
    waiting.push(upload);
  }
  next();
}

function show(upload, text) {
  upload.item.querySelector(".state").textContent = text;
}

function end(upload, outcome, text) {
  upload.item.classList.add(outcome);
  upload.item.querySelector("button").remove();
  upload.item.querySelector("progress").hidden = true;
  show(upload, text);
  tell(`${upload.file.name}: ${text}`);
}

function cancel(upload) {
  if (upload.request) {
    upload.request.abort();
    return;
  }
  waiting.splice(waiting.indexOf(upload), 1);
  end(upload, "failed", "cancelled");
}

function next() {
  if (busy || waiting.length === 0) {
    return;
  }
  const upload = waiting.shift();
  busy = true;
  send(upload, (outcome, text) => {
    busy = false;
    end(upload, outcome, text);
    refresh();
    next();
  });
}

function send(upload, ended) {
  const form = new FormData();
  form.append("file", upload.file);
  const request = new XMLHttpRequest();
  upload.request = request;
  const progress = upload.item.querySelector("progress");
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) {
      return;
    }
    progress.value = event.loaded / event.total;
    const percent = Math.floor(progress.value * 100);
    show(upload, percent < 100 ? `${percent} % of ${size(event.total)}` : "writing to disk");
  });
  request.addEventListener("load", () => {
    const well = request.status === 200;
    ended(well ? "done" : "failed", well ? "stored" : request.responseText.trim() || `refused (${request.status})`);
  });
  request.addEventListener("error", () => ended("failed", "the connection was lost"));
  request.addEventListener("abort", () => ended("failed", "cancelled"));
  request.open("POST", "/upload");
  request.send(form);
}

async function refresh() {
  try {
    const answer = await fetch("/files", { headers: { Accept: "application/json" } });
    if (!answer.ok) {
      throw new Error(`status ${answer.status}`);
    }
    const text = await answer.text();
    // Rows that stay as they are keep the focus of who is on one of them.
    if (text !== listed) {
      list(JSON.parse(text));
      listed = text;
    }
  } catch (error) {
    byId("summary").textContent = `The list of files cannot be had: ${error.message}`;
    listed = "";
  }
}

function list(files) {
  const rows = files.map((file) => {
    const row = byId("row").content.firstElementChild.cloneNode(true);
    const link = row.querySelector("a");
    link.textContent = file.name;
    link.href = `/files/${encodeURIComponent(file.name)}`;
    row.dataset.name = file.name;
    row.querySelector(".number").textContent = size(file.size);
    row.querySelector(".number").title = `${file.size} bytes`;
    const time = row.querySelector("time");
    time.dateTime = file.modified;
    time.textContent = new Date(file.modified).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const button = row.querySelector("button");
    button.setAttribute("aria-label", `Delete ${file.name}`);
    button.addEventListener("click", () => remove(file.name));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  table.hidden = rows.length === 0;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const count = files.length === 1 ? "1 file" : `${files.length} files`;
  byId("summary").textContent = files.length === 0 ? "None yet." : `${count}, ${size(total)}`;
}

async function remove(name) {
  if (!confirm(`Delete ${name}?`)) {
    return;
  }
  try {
    const answer = await fetch(`/files/${encodeURIComponent(name)}`, { method: "DELETE" });
    tell(answer.ok ? `${name} deleted` : `${name}: ${(await answer.text()).trim()}`);
  } catch {
    tell(`${name}: the connection was lost`);
  }
  await refresh();
}

input.addEventListener("change", () => {
  add(input.files);
  input.value = "";
});

// Anywhere on the page: a file that misses the field by a little would else be opened in place of the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});

addEventListener("beforeunload", (event) => {
  if (busy) {
    event.preventDefault();
  }
});

setInterval(() => {
  if (!document.hidden) {
    refresh();
  }
}, REFRESH_MS);
refresh();
