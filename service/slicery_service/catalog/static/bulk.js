// Registering many: one stretch after the other, until all are done or somebody stops it.
import { follow } from "./live.js";

export function bulk() {
  const form = document.querySelector("[data-bulk-form]");
  const button = form?.querySelector("[data-bulk-next]");
  if (!button) return;
  let isOn = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    isOn = !isOn;
    button.textContent = isOn ? "Stop" : "Go on";
    if (isOn) run();
  });
  button.textContent = "Stop";
  run();

  async function run() {
    while (isOn && button.isConnected) {
      if (await next(form)) continue;
      isOn = false;
      button.textContent = "Go on";
    }
  }
}

/** Sends the form, and takes over what the answer holds; false when there was none. */
async function next(form) {
  let found;
  try {
    const answer = await fetch("/register", {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { "X-Fragment": "outcomes" },
    });
    if (!answer.ok) return tell(form, `The service answered ${answer.status}. Nothing is lost: go on, or load the page again.`);
    found = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return tell(form, "The service gave no answer. Nothing is lost: go on when it is back.");
  }
  const now = found.querySelector("[data-bulk-form]");
  for (const input of form.querySelectorAll("input")) input.value = now.elements[input.name].value;
  form.querySelector("progress").value = now.querySelector("progress").value;
  form.querySelector("progress").max = now.querySelector("progress").max;
  form.querySelector(".bulk-told").replaceChildren(...now.querySelector(".bulk-told").childNodes);
  document.querySelector("[data-live-states] tbody").append(...found.querySelectorAll("tbody tr"));
  if (!now.querySelector("[data-bulk-next]")) {
    form.querySelector("[data-bulk-next]").remove();
    document.querySelector("[data-bulk-about]").textContent = "All have been looked at.";
  }
  follow();
  return true;
}

function tell(form, words) {
  form.querySelector(".bulk-told").textContent = words;
  return false;
}
