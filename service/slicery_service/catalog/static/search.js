// Search as one types: the server makes the results, here they are only put in their place.
import { forget } from "./list.js";
import { follow } from "./live.js";

const PAUSE_MILLISECONDS = 150;

export function search() {
  const form = document.querySelector("[data-search]");
  if (!form) return;
  let timer, running;
  const find = async () => {
    const fields = [...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "newest"));
    const url = fields.length ? `/?${new URLSearchParams(fields)}` : "/";
    running?.abort();
    forget();
    running = new AbortController();
    try {
      const answer = await fetch(url, { headers: { "X-Fragment": "results" }, signal: running.signal });
      if (answer.status === 401) return location.assign(url);
      document.querySelector("[data-results]").innerHTML = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      return;
    }
    history.replaceState(null, "", url);
    follow();
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE_MILLISECONDS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    find();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    form.querySelector("[type=search]").focus();
  });
}
