// What pages do beyond being read. Every page works without it; nothing here knows more than the server has told.
import { bulk } from "./bulk.js";
import { follow } from "./live.js";
import { search } from "./search.js";
import { registration } from "./register.js";

document.documentElement.classList.add("scripted");

function theme() {
  const button = document.querySelector("[data-theme-toggle]");
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `slicery_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });
}

function copying() {
  document.addEventListener("click", async (event) => {
    const element = event.target.closest("[data-copy], [data-copy-from]");
    if (!element) return;
    const source = element.dataset.copyFrom ? document.getElementById(element.dataset.copyFrom) : element;
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      getSelection().selectAllChildren(source);
      return;
    }
    element.dataset.copied = "";
    setTimeout(() => delete element.dataset.copied, 1500);
  });
}

function busyForms() {
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button:not([type])");
    if (event.target.method !== "post" || event.defaultPrevented || !button) return;
    // Behind the event, so that the button's own value is sent.
    setTimeout(() => (button.disabled = true));
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form button[disabled]")) button.disabled = false;
  });
}

theme();
copying();
busyForms();
search();
registration();
bulk();
follow();
