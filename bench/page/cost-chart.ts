// Cost chart: what a take and a free cost against how much of the range is held, as a drawing and
// as a table.

import type { Cost, System } from "./protocol.ts";
import { between, make, nanoseconds, the } from "./show.ts";

export const OCCUPANCIES: readonly number[] = [0, 25, 50, 75, 90, 99, 99.9];
const SYSTEMS: readonly System[] = ["portwarden", "JS bitmap", "reference model"];
const SVG = "http://www.w3.org/2000/svg";

const HEIGHT = 300;
const LEFT = 52;
/** Beside the lines stand their names, or above their ends where there is no room for that. */
const RIGHT = 96;
const RIGHT_NARROW = 12;
const NARROW = 480;
const TOP = 14;
const BOTTOM = 44;
/** Powers of ten, in nanoseconds. */
const LOWEST = 0;
const HIGHEST = 7;
const LABEL_GAP = 16;

export class CostChart {
  readonly #costs = new Map<string, Cost>();
  readonly #place: HTMLElement = the("chart");

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#place);
    this.#tabulate();
  }

  clear(): void {
    this.#costs.clear();
    this.#show();
  }

  add(cost: Cost): void {
    this.#costs.set(`${cost.system} ${cost.occupancy}`, cost);
    this.#show();
  }

  #show(): void {
    this.#draw();
    this.#tabulate();
  }

  #cost(system: System, occupancy: number): Cost | undefined {
    return this.#costs.get(`${system} ${occupancy}`);
  }

  // ── The drawing ─────────────────────────────────────────────────────────────────────────

  #draw(): void {
    const width = Math.max(280, this.#place.clientWidth);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
    svg.append(...axes(width));
    const ends = SYSTEMS.flatMap((system) => {
      const points = this.#pointsOf(system, width);
      svg.append(...lineOf(system, points));
      const end = points.at(-1);
      return end === undefined ? [] : [{ system, x: end.x, y: end.y }];
    });
    svg.append(...labelsOf(ends, width));
    this.#place.replaceChildren(svg);
  }

  #pointsOf(system: System, width: number): Point[] {
    return OCCUPANCIES.flatMap((occupancy, index) => {
      const cost = this.#cost(system, occupancy);
      return cost === undefined ? [] : [{ x: across(index, width), y: up(cost.median) }];
    });
  }

  // ── The table ───────────────────────────────────────────────────────────────────────────

  #tabulate(): void {
    const caption = the("costs").querySelector("caption") as HTMLElement;
    const head = make("tr");
    const corner = make("th", "held");
    corner.setAttribute("scope", "col");
    head.append(corner, ...SYSTEMS.map(headOf));
    const rows = OCCUPANCIES.map((occupancy) => {
      const row = make("tr");
      const name = make("th", `${occupancy} %`);
      name.setAttribute("scope", "row");
      row.append(name, ...SYSTEMS.map((system) => cellOf(this.#cost(system, occupancy))));
      return row;
    });
    the("costs").replaceChildren(caption, head, ...rows);
  }
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function headOf(system: System): HTMLElement {
  const head = make("th", system);
  head.dataset.system = system;
  head.setAttribute("scope", "col");
  return head;
}

function cellOf(cost: Cost | undefined): HTMLElement {
  const cell = make("td", cost === undefined ? "–" : nanoseconds(cost.median));
  if (cost === undefined) return cell;
  const { low, high, batches, operations } = cost;
  cell.append(make("small", between(low, high), "spread"));
  cell.title = `${batches} batches of ${operations} operations`;
  return cell;
}

function axes(width: number): Element[] {
  const lines = [];
  for (let power = LOWEST + 1; power <= HIGHEST; power++) {
    const y = up(10 ** power);
    lines.push(shape("line", { x1: LEFT, x2: endOf(width), y1: y, y2: y, class: "grid" }));
    const label = { x: LEFT - 8, y: y + 4, "text-anchor": "end" };
    lines.push(shape("text", label, nanoseconds(10 ** power)));
  }
  for (const [index, occupancy] of OCCUPANCIES.entries()) {
    const label = { x: across(index, width), y: HEIGHT - BOTTOM + 20, "text-anchor": "middle" };
    lines.push(shape("text", label, `${occupancy}`));
  }
  const middle = (LEFT + endOf(width)) / 2;
  const title = { x: middle, y: HEIGHT - 6, "text-anchor": "middle" };
  return [...lines, shape("text", title, "% of the range held")];
}

function lineOf(system: System, points: readonly Point[]): Element[] {
  const path = points.map(({ x, y }) => `${x},${y}`).join(" ");
  const line = shape("polyline", { points: path, class: "line", "data-system": system });
  return [line, ...points.map((point) => markOf(system, point))];
}

/** A mark of its own for each system, besides its colour. */
function markOf(system: System, { x, y }: Point): Element {
  const look = { class: "point", "data-system": system };
  if (system === "portwarden") return shape("circle", { cx: x, cy: y, r: 5, ...look });
  const square = shape("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9, ...look });
  if (system === "reference model") square.setAttribute("transform", `rotate(45 ${x} ${y})`);
  return square;
}

/** Names beside the ends of the lines, moved apart where they would overcost. */
function labelsOf(
  ends: readonly (Point & { readonly system: System })[],
  width: number,
): Element[] {
  const look = width < NARROW ? { dx: 6, dy: -12, "text-anchor": "end" } : { dx: 12, dy: 4 };
  let lowest = Number.NEGATIVE_INFINITY;
  return [...ends]
    .sort((a, b) => a.y - b.y)
    .map(({ system, x, y }) => {
      lowest = Math.max(y, lowest + LABEL_GAP);
      const isLow = look.dy < 0 && system === "JS bitmap";
      const at = { ...look, dy: isLow ? 22 : look.dy, x, y: look.dy < 0 ? y : lowest };
      return shape("text", { ...at, class: "name", "data-system": system }, system);
    });
}

/** Where the grid ends. */
function endOf(width: number): number {
  return width - (width < NARROW ? RIGHT_NARROW : RIGHT);
}

function across(index: number, width: number): number {
  return LEFT + 10 + (index * (endOf(width) - LEFT - 20)) / (OCCUPANCIES.length - 1);
}

function up(ns: number): number {
  const share = (Math.log10(Math.max(ns, 1)) - LOWEST) / (HIGHEST - LOWEST);
  return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
}

function shape(name: string, attributes: Record<string, string | number>, text = ""): Element {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, `${value}`);
  if (text !== "") made.textContent = text;
  return made;
}
