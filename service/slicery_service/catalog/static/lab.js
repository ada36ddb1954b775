// The slice lab as one types: the server makes the page of what the form says, and what has changed is put in its place.
const PAUSE_MILLISECONDS = 120;

const form = document.querySelector("[data-lab]");
let timer, running;

function address() {
  const chosen = form.querySelector("[name=strategy]:checked")?.value ?? "";
  const fields = [...new FormData(form)].filter(
    ([name]) => name === "strategy" || name.startsWith(`${chosen}.`) || name.startsWith("selection."),
  );
  // What is empty in a strategy is told, as else its usual value would come back.
  const told = fields.filter(([name, value]) => value || name.startsWith(`${chosen}.`));
  return `${form.getAttribute("action")}?${new URLSearchParams(told)}`;
}

function put(made) {
  for (const fresh of made.querySelectorAll("[data-live]")) {
    const place = document.getElementById(fresh.id);
    if (place && place.innerHTML !== fresh.innerHTML) place.innerHTML = fresh.innerHTML;
  }
  for (const entry of form.querySelectorAll("[data-entry]")) {
    const isWrong = Boolean(document.getElementById(`${entry.dataset.entry}-error`)?.textContent);
    for (const input of entry.querySelectorAll("input, select")) {
      if (isWrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }
}

async function show() {
  const url = address();
  const result = document.getElementById("lab-result");
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  result.classList.add("waiting");
  try {
    const answer = await fetch(url, { headers: { "X-Fragment": "lab" }, signal });
    if (answer.status === 401) return location.reload();
    put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    history.replaceState(null, "", url);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return;
  } finally {
    if (!signal.aborted) result.classList.remove("waiting");
  }
}

form?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, PAUSE_MILLISECONDS);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  show();
});
