// Lists that renew themselves: the server says that a page of one has changed, and the page is asked for again.
const QUIET_MILLISECONDS = 4000;
const AGAIN_MILLISECONDS = 500;

let touched = -Infinity;
let waiting, asked;

for (const name of ["pointermove", "pointerdown", "wheel"]) {
  document.addEventListener(name, (event) => {
    if (event.target.closest?.("[data-results] .scroll")) touched = performance.now();
  }, { passive: true });
}

/** Asks for the page that is shown, and puts what it holds in place; `then` is called when it stands there. */
export async function renew(then) {
  if (!document.querySelector("[data-results]")) return location.reload();
  asked?.abort();
  asked = new AbortController();
  let found;
  try {
    const answer = await fetch(location.href, { signal: asked.signal });
    if (answer.redirected || !answer.ok) return location.reload();
    found = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return; // asked for once more, or the service is away: the stream opens again with it
  }
  if (!found.querySelector("[data-results]")) return location.reload();
  offer(found, then);
}

/** Forgets a renewal that waits: another search has come in between. */
export function forget() {
  asked?.abort();
  clearTimeout(waiting);
  if (notice()) notice().hidden = true;
}

// Rows that come or go move others. Not while somebody points at them, or has scrolled to where they read.
function offer(found, then) {
  clearTimeout(waiting);
  if (rows(found) !== rows(document) && isBusy()) {
    notice().hidden = false;
    notice().onclick = () => put(found, then);
    waiting = setTimeout(() => offer(found, then), AGAIN_MILLISECONDS);
    return;
  }
  put(found, then);
}

function isBusy() {
  const list = document.querySelector("[data-results] .scroll");
  if (!list) return false;
  const pressed = getSelection();
  const isMarked = !pressed.isCollapsed && list.contains(pressed.anchorNode);
  return isMarked || list.getBoundingClientRect().top < 0 || performance.now() - touched < QUIET_MILLISECONDS;
}

function put(found, then) {
  clearTimeout(waiting);
  if (notice()) notice().hidden = true;
  const old = document.querySelector("[data-results]");
  const at = place(old);
  old.replaceChildren(...found.querySelector("[data-results]").childNodes);
  options(found);
  restore(old, at);
  then();
}

// The filters offer what there is now; the one in use is left alone.
function options(found) {
  for (const select of document.querySelectorAll("[data-search] select")) {
    const now = found.getElementById(select.id);
    if (!now || select === document.activeElement || now.innerHTML === select.innerHTML) continue;
    const chosen = select.value;
    select.replaceChildren(...now.childNodes);
    select.value = chosen;
  }
}

function place(list) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const row = focused?.closest("[data-row]");
  const near = row ?? list;
  return {
    row: row?.dataset.row,
    number: focused ? focusables(near).indexOf(focused) : -1,
    left: list.querySelector(".scroll")?.scrollLeft ?? 0,
  };
}

function restore(list, at) {
  const scroll = list.querySelector(".scroll");
  if (scroll) scroll.scrollLeft = at.left;
  if (at.number < 0) return;
  const near = at.row ? list.querySelector(`[data-row="${CSS.escape(at.row)}"]`) : list;
  (focusables(near ?? list)[near ? at.number : 0] ?? scroll)?.focus({ preventScroll: true });
}

const focusables = (element) => [...element.querySelectorAll("a, button, summary, [tabindex]")];
const rows = (page) => [...page.querySelectorAll("[data-results] [data-row]")].map((row) => row.dataset.row).join();
const notice = () => document.querySelector("[data-notice]");
