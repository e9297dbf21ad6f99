// Show: numbers, times and rates as the page writes them, and the elements that it writes them to.

const WHOLE = new Intl.NumberFormat("en");

/** `12,345`. */
export function whole(value: number): string {
  return WHOLE.format(Math.round(value));
}

/** Nanoseconds as `38 ns`, `1.2 µs`, `3.4 ms`. */
export function nanoseconds(value: number): string {
  if (value < 1000) return `${threeDigits(value)} ns`;
  return value < 1e6 ? `${threeDigits(value / 1e3)} µs` : `${threeDigits(value / 1e6)} ms`;
}

/** Two of them: `23 – 59 ns`, `950 ns – 2.3 µs`. */
export function between(low: number, high: number): string {
  const [from = "", unit] = nanoseconds(low).split(" ");
  const to = nanoseconds(high);
  return to.endsWith(` ${unit}`) ? `${from} – ${to}` : `${from} ${unit} – ${to}`;
}

/** Milliseconds as `50 ms`, `2 s`. */
export function milliseconds(value: number): string {
  return value < 1000 ? `${threeDigits(value)} ms` : `${threeDigits(value / 1000)} s`;
}

/** 1,234,567 as `1.23 M`. */
export function rate(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)} k` : whole(value);
}

/** At most three digits that say something. */
function threeDigits(value: number): string {
  return `${Number(value.toPrecision(value >= 100 ? 3 : 2))}`;
}

/** An element of the page that is there. */
export function the<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** A new element. */
export function make(tag: string, text = "", className = ""): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className !== "") made.className = className;
  return made;
}
