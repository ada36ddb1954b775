// Numbers in words, as words.py writes them.
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  let value = number, unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)}\u00a0${UNITS[unit]}`;
}

export function count(number, word) {
  const name = word ?? "record";
  const many = name === "spectrum" ? "spectra" : name.endsWith("y") ? `${name.slice(0, -1)}ies` : `${name}s`;
  return `${number.toLocaleString("en-US")}\u00a0${number === 1 ? name : many}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)}\u00a0ms`;
  if (seconds < 60) return `${seconds.toFixed(1)}\u00a0s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}\u00a0min ${Math.floor(seconds % 60)}\u00a0s`;
  return `${Math.floor(minutes / 60)}\u00a0h ${minutes % 60}\u00a0min`;
}
