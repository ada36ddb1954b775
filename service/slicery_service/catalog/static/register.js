// Browsing and looking without leaving the page.
const PAUSE_MILLISECONDS = 400;

export function registration() {
  const form = document.querySelector("[data-look]");
  if (!form) return;
  const uris = form.querySelector("textarea");
  let timer, running;

  const look = async () => {
    running?.abort();
    running = new AbortController();
    const html = await fragment(`/register/look?${new URLSearchParams(new FormData(form))}`, running.signal);
    if (html !== null) document.querySelector("[data-looked]").innerHTML = html;
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MILLISECONDS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });

  document.querySelector("[data-browse]").addEventListener("click", async (event) => {
    const link = event.target.closest("a");
    if (!link || link.dataset.known !== undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.add !== undefined) {
      const lines = uris.value.split("\n").map((line) => line.trim()).filter(Boolean);
      if (!lines.includes(link.dataset.add)) lines.push(link.dataset.add);
      uris.value = lines.join("\n");
      return look();
    }
    const { place: source, at = "", more = "" } = link.dataset;
    const html = await fragment(`/register/browse?${new URLSearchParams({ source, at, more, uri: uris.value })}`);
    if (html === null) return;
    const panel = document.querySelector("[data-browse]");
    if (more) return append(panel, html);
    panel.innerHTML = html;
    panel.querySelector(".entries a, .path a")?.focus();
  });
}

// The next entries stand behind those that are shown; the first of them has the focus.
function append(panel, html) {
  const found = new DOMParser().parseFromString(html, "text/html");
  const entries = [...found.querySelectorAll(".entries > li")];
  panel.querySelector(".entries").append(...entries);
  panel.querySelector(".more").replaceWith(found.querySelector(".more"));
  (entries[0]?.querySelector("a") ?? panel.querySelector(".path a")).focus();
}

async function fragment(url, signal) {
  try {
    const answer = await fetch(url, { headers: { "X-Fragment": "part" }, signal });
    if (answer.status === 401) location.reload();
    return await answer.text();
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return null;
  }
}
