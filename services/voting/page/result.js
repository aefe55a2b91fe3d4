// Puts what the server tells in its place. The words are the server's; a lost connection is the one thing that only
// the browser knows.
"use strict";

const AGAIN_MS = 5000;

function show(name, text) {
  const place = document.getElementById(name);
  if (place.textContent !== text) {
    place.textContent = text;
  }
}

function update(view) {
  for (const [name, text] of Object.entries(view)) {
    show(name, text);
  }
  if (view.percent_a.endsWith("%")) {
    document.getElementById("bar_a").setAttribute("width", view.percent_a);
  }
  document.querySelector("main").classList.toggle("stale", view.problem !== "");
}

function listen() {
  const events = new EventSource("/events");
  events.onmessage = (event) => update(JSON.parse(event.data));
  events.onerror = () => {
    show("problem", "The connection is lost: this is the last that we heard. Trying again…");
    document.querySelector("main").classList.add("stale");
    // The browser connects again by itself, except after an answer such as 503.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(listen, AGAIN_MS);
    }
  };
}

document.querySelector("main").classList.toggle("stale", document.getElementById("problem").textContent !== "");
listen();
