// Follows what changes: the job of a dataset, the jobs of a page, the states of a list.
import { bytes, count, duration } from "./words.js";

let sources = [];

/** Opens the streams that the present page wants; call it again when the page has changed. */
export function follow() {
  for (const source of sources) source.close();
  sources = [];
  if (document.hidden) return;
  oneJob();
  jobs();
  states();
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

function jobs() {
  const rows = [...document.querySelectorAll("[data-live-jobs] tr[data-active]")];
  if (!rows.length) return;
  const ids = rows.map((row) => `id=${encodeURIComponent(row.dataset.row)}`);
  open(`/live/jobs?${ids.join("&")}`, {
    jobs: (found) => {
      for (const row of rows) {
        const job = found[row.dataset.row];
        if (job) showJob(row, job);
      }
    },
    end: (_, source) => {
      source.close();
      location.reload();
    },
  });
}

function showJob(row, job) {
  const set = (name, text) => {
    const cell = row.querySelector(`[data-cell="${name}"]`);
    if (cell) cell.textContent = text;
  };
  paint(row.querySelector(".state"), job.state);
  const bar = row.querySelector("progress");
  bar.max = Math.max(job.bytes_total, 1);
  bar.value = job.bytes_done;
  set("bytes", `${bytes(job.bytes_done)} of ${bytes(job.bytes_total)}`);
  set("speed", job.bytes_per_second ? `${bytes(job.bytes_per_second)}/s` : "–");
  set("time", job.seconds_left === null ? duration(job.seconds) : `${duration(job.seconds_left)} left`);
  set("position", job.position ? `number ${job.position} in the queue` : "");
}

function states() {
  const table = document.querySelector("[data-live-states]");
  const shown = [...(table?.querySelectorAll("[data-state]") ?? [])];
  if (!shown.length) return;
  const ids = shown.slice(0, 200).map((each) => `id=${encodeURIComponent(each.dataset.state)}`);
  open(`/live/datasets?${ids.join("&")}`, {
    states: (found) => {
      for (const each of shown) {
        const now = found[each.dataset.state];
        paint(each, now ? now.state : "deleted", now?.percent ?? null);
        const cell = now && table.querySelector(`[data-records="${CSS.escape(each.dataset.state)}"]`);
        if (cell && now.records !== null) cell.textContent = count(now.records, now.unit);
      }
    },
  });
}

function paint(badge, state, percent = null) {
  badge.className = `state ${state}`;
  badge.textContent = percent === null || state !== "indexing" ? state : `${state} ${percent} %`;
}
