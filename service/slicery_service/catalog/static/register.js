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
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.add !== undefined) {
      const lines = uris.value.split("\n").map((line) => line.trim()).filter(Boolean);
      if (!lines.includes(link.dataset.add)) lines.push(link.dataset.add);
      uris.value = lines.join("\n");
      return look();
    }
    const place = new URLSearchParams({ source: link.dataset.place, at: link.dataset.at ?? "", uri: uris.value });
    const html = await fragment(`/register/browse?${place}`);
    if (html === null) return;
    const panel = document.querySelector("[data-browse]");
    panel.innerHTML = html;
    panel.querySelector(".entries a, .path a")?.focus();
  });
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
