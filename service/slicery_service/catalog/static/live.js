// Follows what changes: the job of a dataset, a list, the states of what was registered together.
import { forget, renew } from "./list.js";
import { bytes, count, duration } from "./words.js";

let sources = [];
let renewedFor;

/** Opens the streams that the present page wants; call it again when the page has changed. */
export function follow() {
  for (const source of sources) source.close();
  sources = [];
  if (document.hidden) return;
  oneJob();
  list();
  registered();
}

document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => sources.forEach((source) => source.close()));

function open(url, handlers) {
  const source = new EventSource(url);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data), source));
  }
  sources.push(source);
}

function oneJob() {
  const panel = document.querySelector("[data-job]");
  if (!panel) return;
  const part = (name) => panel.querySelector(`[data-job-${name}]`);
  open(`/live/datasets/${panel.dataset.job}`, {
    job: (job) => {
      part("title").textContent = job.state === "queued" ? "Waiting in the queue" : "Indexing";
      part("bar").max = Math.max(job.bytes_total, 1);
      part("bar").value = job.bytes_done;
      part("bytes").textContent = `${bytes(job.bytes_done)} of ${bytes(job.bytes_total)}`;
      part("speed").textContent = job.bytes_per_second ? `${bytes(job.bytes_per_second)}/s` : "–";
      part("left").textContent = duration(job.seconds_left);
      part("position").textContent = job.position ?? "at work";
    },
    end: (end, source) => {
      source.close();
      location.replace(end.is_gone ? "/" : location.pathname);
    },
  });
}

function list() {
  const shown = document.querySelector("[data-list]");
  if (!shown) return;
  forget();
  open(shown.dataset.live, {
    list: (now) => {
      // Once for each version: what another process of the service shows may lag behind for some seconds.
      if (now.version === shown.dataset.version || now.version === renewedFor) return;
      renewedFor = now.version;
      renew(follow);
    },
    states: (states) => showStates(shown, states),
    jobs: (jobs) => {
      for (const row of shown.querySelectorAll("tr[data-row]")) {
        if (jobs[row.dataset.row]) showJob(row, jobs[row.dataset.row]);
      }
    },
  });
}

function registered() {
  const table = document.querySelector("[data-live-states]");
  const ids = [...(table?.querySelectorAll("[data-state]") ?? [])].map((each) => each.dataset.state).slice(-200);
  if (!ids.length) return;
  open(`/live/datasets?${ids.map((id) => `id=${encodeURIComponent(id)}`).join("&")}`, {
    states: (states) => showStates(table, states),
  });
}

function showJob(row, job) {
  const set = (name, text) => {
    const cell = row.querySelector(`[data-cell="${name}"]`);
    if (cell) cell.textContent = text;
  };
  paint(row.querySelector(".state"), job.state);
  const bar = row.querySelector("progress");
  if (bar) {
    bar.max = Math.max(job.bytes_total, 1);
    bar.value = job.bytes_done;
  }
  set("bytes", `${bytes(job.bytes_done)} of ${bytes(job.bytes_total)}`);
  set("speed", job.bytes_per_second ? `${bytes(job.bytes_per_second)}/s` : "–");
  set("time", job.seconds_left === null ? duration(job.seconds) : `${duration(job.seconds_left)} left`);
  set("position", job.position ? `number ${job.position} in the queue` : "");
}

function showStates(table, states) {
  for (const badge of table.querySelectorAll("[data-state]")) {
    const now = states[badge.dataset.state];
    if (!now) continue;
    paint(badge, now.state, now.percent);
    const cell = table.querySelector(`[data-records="${CSS.escape(badge.dataset.state)}"]`);
    if (cell && now.records !== null) cell.textContent = count(now.records, now.unit);
  }
}

function paint(badge, state, percent = null) {
  badge.className = `state ${state}`;
  badge.textContent = percent === null || state !== "indexing" ? state : `${state} ${percent} %`;
}
