// Inspector: what the page says of the port that the visitor looks at, and the legend with its
// counts.

import type { Picture, PortDetails } from "./protocol.ts";
import { make, the, whole } from "./show.ts";
import { STATES, WORKER } from "./states.ts";

interface State {
  readonly name: string;
  readonly label: string;
  readonly meaning: string;
}

/**
 * Shows what is known of a port; with `aloud` a screen reader reads it out, too, which it would
 * else do all the time.
 */
export function showPort(details: PortDetails, aloud: boolean): void {
  const state = STATES[details.state] as State;
  const chip = the("port-state");
  chip.textContent = state.label;
  chip.dataset.state = state.name;
  the("port-answers").replaceChildren(make("p", held(details), "holders"), requests(details));
  the("picture").setAttribute("aria-valuenow", `${details.port}`);
  if (!aloud) return;
  const refusals = details.requests.filter(({ isGranted }) => !isGranted);
  const [why] = refusals;
  const spoken = why === undefined ? "" : ` ${why.request}: ${why.answer}.`;
  const text = `Port ${details.port}: ${state.label}. ${held(details)}${spoken}`;
  the("picture").setAttribute("aria-valuetext", text);
}

function held({ port, holders, cooling }: PortDetails): string {
  if (port === 0) return "No socket has port 0: it stands for “any port”.";
  const parts = [];
  if (holders.length > 0) parts.push(`Held by ${holders.length}: towards ${holders.join(", ")}.`);
  if (cooling.length > 0) parts.push(`Cooling after ${cooling.join(", ")}.`);
  return parts.length === 0 ? "No connection holds it." : parts.join(" ");
}

function requests({ requests }: PortDetails): HTMLElement {
  const list = make("ul", "", "requests");
  for (const { request, isGranted, answer } of requests) {
    const item = make("li", "", `request ${isGranted ? "granted" : "refused"}`);
    const sign = make("span", isGranted ? "✓" : "✗", "sign");
    sign.setAttribute("aria-label", isGranted ? "granted" : "refused");
    sign.setAttribute("role", "img");
    item.append(sign, make("strong", request), make("span", answer, "answer"));
    list.append(item);
  }
  return list;
}

// ── Legend ────────────────────────────────────────────────────────────────────────────────

/** Makes the legend; what it returns writes the counts. */
export function makeLegend(): (counts: readonly number[]) => void {
  const counted = STATES.map(({ name, label, meaning }) => {
    const item = make("li", "", "key");
    item.title = meaning;
    const swatch = make("span", "", "swatch");
    swatch.dataset.state = name;
    const count = make("span", "0", "count");
    item.append(swatch, make("span", label), count);
    the("legend").append(item);
    return { item, count };
  });
  return (counts) => {
    for (const [state, { item, count }] of counted.entries()) {
      count.textContent = whole(counts[state] as number);
      item.hidden = state > WORKER && counts[state] === 0;
    }
  };
}

/** Makes the two bars below the legend; what it returns writes them. */
export function makeParity(): (parity: Picture["parity"]) => void {
  const bars = ["even", "odd"].map((name) => {
    const bar = document.createElement("progress");
    const value = make("dd");
    const text = make("span");
    bar.setAttribute("aria-hidden", "true");
    value.append(bar, text);
    const title = make("dt", `${name} ports`);
    title.append(make("span", " in use", "wide"));
    the("parity").append(title, value);
    return { bar, text };
  });
  return (parity) => {
    for (const [index, { bar, text }] of bars.entries()) {
      const { used, of } = parity[index as 0 | 1];
      bar.max = Math.max(of, 1);
      bar.value = used;
      text.textContent = `${whole(used)} of ${whole(of)}`;
    }
  };
}

/** The picture in words. */
export function summaryOf(counts: readonly number[]): string {
  const shown = STATES.map(({ label }, state) => ({ label, state })).filter(
    ({ state }) => state <= WORKER || (counts[state] as number) > 0,
  );
  const parts = shown.map(({ label, state }) => `${whole(counts[state] as number)} ${label}`);
  return `Of 65,536 ports: ${parts.join(", ")}.`;
}
