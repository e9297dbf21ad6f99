// Map: the canvas with the picture of all ports, and the port on it that the visitor looks at.

import { PORTS, STATES } from "./states.ts";

const SIDE = 256;
const STEP = 16;
const PAGE = 16 * SIDE;

/** Called when another port is looked at; whether a key did it. */
export type OnPort = (port: number, byKey: boolean) => void;

export class PortMap {
  readonly #canvas: HTMLCanvasElement;
  readonly #mark: HTMLElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #image: ImageData;
  readonly #pixels: Uint32Array;
  /** The colour of each state. */
  #palette: Uint32Array = new Uint32Array(STATES.length);
  readonly #onPort: OnPort;
  #port = 0;

  constructor(canvas: HTMLCanvasElement, mark: HTMLElement, onPort: OnPort) {
    this.#canvas = canvas;
    this.#mark = mark;
    this.#onPort = onPort;
    this.#context = canvas.getContext("2d", {
      willReadFrequently: true,
    }) as CanvasRenderingContext2D;
    this.#image = this.#context.createImageData(SIDE, SIDE);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.refreshColours();
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerdown", (event) => this.#point(event));
    (mark.parentElement as HTMLElement).addEventListener("keydown", (event) => this.#press(event));
  }

  /** Takes the colours of the states from the style sheet. */
  refreshColours(): void {
    const style = getComputedStyle(document.documentElement);
    const colours = STATES.map(({ name }) => style.getPropertyValue(`--${name}`).trim());
    this.#palette = Uint32Array.from(colours, pixelOf);
  }

  /** Shows one byte per port. */
  paint(codes: Uint8Array): void {
    const pixels = this.#pixels;
    const palette = this.#palette;
    for (let port = 0; port < PORTS; port++) {
      pixels[port] = palette[codes[port] as number] as number;
    }
    this.#context.putImageData(this.#image, 0, 0);
  }

  /** The state of each port as the canvas shows it; 255 where a pixel has no state's colour. */
  readBack(): Uint8Array {
    const { data } = this.#context.getImageData(0, 0, SIDE, SIDE);
    const palette = [...this.#palette];
    return Uint8Array.from(new Uint32Array(data.buffer), (pixel) => palette.indexOf(pixel));
  }

  get port(): number {
    return this.#port;
  }

  /** Looks at a port. */
  choose(port: number, byKey: boolean): void {
    this.#port = port;
    this.#mark.hidden = false;
    this.#mark.style.left = `${(((port % SIDE) + 0.5) * 100) / SIDE}%`;
    this.#mark.style.top = `${((Math.floor(port / SIDE) + 0.5) * 100) / SIDE}%`;
    this.#onPort(port, byKey);
  }

  #point({ clientX, clientY }: PointerEvent): void {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const column = Math.floor(((clientX - left) * SIDE) / width);
    const row = Math.floor(((clientY - top) * SIDE) / height);
    if (column < 0 || column >= SIDE || row < 0 || row >= SIDE) return;
    const port = row * SIDE + column;
    if (port !== this.#port) this.choose(port, false);
  }

  #press(event: KeyboardEvent): void {
    const by = stepOf(event);
    if (by === undefined) return;
    event.preventDefault();
    this.choose(Math.min(Math.max(this.#port + by, 0), PORTS - 1), true);
  }
}

/** How far a key moves. */
function stepOf({ key, shiftKey }: KeyboardEvent): number | undefined {
  const far = shiftKey ? STEP : 1;
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -far,
    ArrowRight: far,
    ArrowUp: -far * SIDE,
    ArrowDown: far * SIDE,
    PageUp: -PAGE,
    PageDown: PAGE,
    Home: -PORTS,
    End: PORTS,
  };
  return steps[key];
}

/** `#rrggbb` as a pixel in memory: red first, then opaque. */
function pixelOf(colour: string): number {
  const rgb = Number.parseInt(colour.slice(1), 16);
  const red = rgb >>> 16;
  const green = (rgb >>> 8) & 255;
  const blue = rgb & 255;
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
