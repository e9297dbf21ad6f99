// Controls: the form with the settings, and the buttons of the scenarios.
//
// Rates and times are chosen by a slider whose tenth step means ten times as much. A slider that
// was not moved shows the nearest step and keeps the exact value.

import type { Place, Ranges, Span } from "./protocol.ts";
import {
  CALLS,
  DESTINATIONS_MAX,
  GROUP_NAMES,
  POLICIES,
  SCENARIOS,
  type Settings,
  selectionsOf,
} from "./settings.ts";
import { make, milliseconds, the, whole } from "./show.ts";

/** Called with what the visitor has done. */
interface Listener {
  onSettings(settings: Settings, before: Settings): void;
  onScenario(settings: Settings): void;
  onRange(of: Place, range: Span): void;
  onPlace(place: Place): void;
}

type Slider = "rate" | "lifetime" | "cooldown";

export class Controls {
  #settings: Settings;
  #ranges: Ranges;
  readonly #listener: Listener;
  readonly #form: HTMLFormElement = the<HTMLFormElement>("settings");

  constructor(settings: Settings, listener: Listener) {
    this.#settings = settings;
    this.#ranges = { system: settings, groups: [] };
    this.#listener = listener;
    const numbers = Array.from({ length: DESTINATIONS_MAX }, (_, index) => `${index + 1}`);
    fill(this.#select("destinations"), numbers);
    this.#makeScenarios();
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("input", ({ target }) => this.#slide(target as HTMLInputElement));
    this.#form.addEventListener("change", ({ target }) => this.#change(target as HTMLInputElement));
    this.#write();
  }

  get settings(): Settings {
    return this.#settings;
  }

  get place(): Place {
    const { value } = this.#select("place");
    return value === "system" || value === "" ? "system" : Number(value);
  }

  /** The worker says what the ranges are now. */
  showRanges(ranges: Ranges): void {
    this.#ranges = ranges;
    const { place } = this;
    const names = GROUP_NAMES.slice(0, ranges.groups.length);
    const select = this.#select("place");
    select.replaceChildren(option("system", "the system"));
    for (const [index, name] of names.entries()) {
      select.append(option(`${index}`, `group ${name}`));
    }
    select.value = typeof place === "number" && place < names.length ? `${place}` : "system";
    this.#writeRange();
  }

  /** The worker has refused what was asked for, and goes on with these. */
  showSettings(settings: Settings): void {
    this.#settings = settings;
    this.#write();
  }

  // ── From the visitor ────────────────────────────────────────────────────────────────────

  #change({ name, value }: HTMLInputElement): void {
    if (name === "place") {
      this.#writeRange();
      this.#listener.onPlace(this.place);
    } else if (name === "first" || name === "last") {
      this.#changeRange();
    } else if (!isSlider(name)) {
      const isNumber = name === "groups" || name === "destinations";
      this.#set({ [name]: isNumber ? Number(value) : value });
    }
  }

  #changeRange(): void {
    const [first, last] = [this.#input("first"), this.#input("last")];
    last.setCustomValidity(last.valueAsNumber < first.valueAsNumber ? "below the first" : "");
    if (!first.reportValidity() || !last.reportValidity()) return;
    const range = { first: first.valueAsNumber, last: last.valueAsNumber };
    if (this.place === "system") this.#settings = { ...this.#settings, ...range };
    this.#listener.onRange(this.place, range);
  }

  #slide({ name, value }: HTMLInputElement): void {
    if (isSlider(name)) this.#set({ [name]: valueAt(name, Number(value)) });
  }

  #set(change: Partial<Settings>): void {
    const before = this.#settings;
    const settings = { ...before, ...change };
    const known = selectionsOf(settings);
    const selection = known.includes(settings.selection)
      ? settings.selection
      : (known[0] as string);
    this.#settings = { ...settings, selection };
    this.#write();
    this.#listener.onSettings(this.#settings, before);
  }

  #makeScenarios(): void {
    for (const [index, { name, about, settings }] of SCENARIOS.entries()) {
      const input = document.createElement("input");
      input.type = "radio";
      input.name = "scenario";
      input.checked = index === 0;
      input.addEventListener("change", () => {
        this.#settings = settings;
        this.#write();
        the("about").textContent = about;
        this.#listener.onScenario(settings);
      });
      const label = make("label");
      label.append(input, make("span", name));
      the("scenarios").append(label);
    }
    the("about").textContent = SCENARIOS[0]?.about ?? "";
  }

  // ── To the visitor ──────────────────────────────────────────────────────────────────────

  #write(): void {
    const { system, rules, selection, groups, destinations, reserved } = this.#settings;
    fill(this.#select("selection"), selectionsOf(this.#settings));
    this.#select("system").value = system;
    this.#select("rules").value = rules;
    this.#select("rules").disabled = system !== "linux";
    this.#select("selection").value = selection;
    this.#select("groups").value = `${groups}`;
    this.#select("destinations").value = `${destinations}`;
    this.#input("reserved").value = reserved;
    the("selection-hint").textContent = POLICIES[selection] ?? CALLS[selection] ?? "";
    for (const name of ["rate", "lifetime", "cooldown"] as const) this.#writeSlider(name);
    this.#writeRange();
  }

  #writeSlider(name: Slider): void {
    const value = this.#settings[name];
    const input = this.#input(name);
    const text = textOf(name, value);
    input.value = `${stepAt(name, value)}`;
    input.setAttribute("aria-valuetext", text);
    (this.#form.elements.namedItem(`${name}-value`) as HTMLOutputElement).value = text;
  }

  #writeRange(): void {
    const { place } = this;
    const range = place === "system" ? this.#ranges.system : this.#ranges.groups[place];
    this.#input("first").value = `${range?.first ?? ""}`;
    this.#input("last").value = `${range?.last ?? ""}`;
  }

  #input(name: string): HTMLInputElement {
    return this.#form.elements.namedItem(name) as HTMLInputElement;
  }

  #select(name: string): HTMLSelectElement {
    return this.#form.elements.namedItem(name) as HTMLSelectElement;
  }
}

// ── Sliders ───────────────────────────────────────────────────────────────────────────────

function isSlider(name: string): name is Slider {
  return name === "rate" || name === "lifetime" || name === "cooldown";
}

/** Arrivals per second from 1 on; times from one millisecond on, from step 1; step 0 is none. */
function valueAt(name: Slider, step: number): number {
  if (name === "rate") return rounded(10 ** (step / 10));
  return step === 0 ? 0 : rounded(10 ** ((step - 1) / 10));
}

function stepAt(name: Slider, value: number): number {
  const tenths = Math.round(10 * Math.log10(Math.max(value, 1)));
  if (name === "rate") return tenths;
  return value === 0 ? 0 : tenths + 1;
}

function rounded(value: number): number {
  return Math.round(Number(value.toPrecision(2)));
}

function textOf(name: Slider, value: number): string {
  if (name === "rate") return `${whole(value)} / s`;
  return value === 0 ? "none" : milliseconds(value);
}

// ── Options ───────────────────────────────────────────────────────────────────────────────

function fill(select: HTMLSelectElement, values: readonly string[]): void {
  select.replaceChildren(...values.map((value) => option(value, value)));
}

function option(value: string, text: string): HTMLOptionElement {
  return new Option(text, value);
}
