// On the page: functions that a test sends to the browser. Each must stand alone there.

/**
 * A digit for the state of each port, by the colours of the style sheet, read from the canvas; `x`:
 * no state's.
 */
export function statesOnCanvas(names: readonly string[]): string {
  const style = getComputedStyle(document.documentElement);
  const states = new Map(
    names.map((name, state) => {
      const colour = style.getPropertyValue(`--${name}`).trim();
      return [Number.parseInt(colour.slice(1), 16), `${state}`];
    }),
  );
  const canvas = document.querySelector("canvas") as HTMLCanvasElement;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new DataView(data.buffer);
  let all = "";
  for (let at = 0; at < data.length; at += 4) all += states.get(pixels.getUint32(at) >>> 8) ?? "x";
  return all;
}

interface Contrast {
  readonly text: string;
  readonly ratio: number;
}

/** How well each text on the page stands out from what is behind it (WCAG 2.2, 1.4.3). */
export function contrasts(): Contrast[] {
  type Colour = readonly [number, number, number, number];
  const colourOf = (text: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [red, green, blue, alpha];
  };
  const luminance = ([red, green, blue]: Colour): number => {
    const linear = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element: Element | null): Colour => {
    if (element === null) return [255, 255, 255, 1];
    const colour = colourOf(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? behind(element.parentElement) : colour;
  };
  const hasText = (element: Element): boolean =>
    [...element.childNodes].some(({ nodeType, data }: ChildNode & { data?: string }) => {
      return nodeType === 3 && data?.trim() !== "";
    });
  return [...document.querySelectorAll("body *")]
    .filter((element) => hasText(element) && element.checkVisibility())
    .map((element) => {
      const style = getComputedStyle(element);
      const isDrawn = element instanceof SVGElement;
      const front = luminance(colourOf(isDrawn ? style.fill : style.color));
      const back = luminance(behind(element));
      const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
      return { text: `${element.textContent}`.trim().slice(0, 40), ratio };
    });
}
