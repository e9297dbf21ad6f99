// Visitor: what a test does on the page of bench/page, and what it reads there.

import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Share } from "../../bench/page/protocol.ts";
import { COOLING, HELD, SHARED, STATES } from "../../bench/page/states.ts";
import { statesOnCanvas } from "./on-page.ts";

/** Has the page ask the manager about each port, and compares that with the canvas' pixels. */
export async function check(page: Page): Promise<{ answers: number[]; wrong: string[] }> {
  const answered = page.evaluate(
    () =>
      new Promise<string>((resolve) => {
        const tell = (event: Event): void => {
          resolve([...(event as CustomEvent<Uint8Array>).detail].join(""));
        };
        document.addEventListener("answers", tell, { once: true });
      }),
  );
  await page.click("#check");
  const answers = [...(await answered)].map(Number);
  const names = STATES.map(({ name }) => name);
  const drawn = await page.evaluate(statesOnCanvas, names);
  const wrong = answers.flatMap((state, port) =>
    drawn[port] === `${state}` ? [] : [`${port}: ${drawn[port]}, not ${state}`],
  );
  expect(answers).toHaveLength(65536);
  return { answers, wrong: wrong.slice(0, 10) };
}

/** How many even and odd ports the page says are in use, which are those that the manager names. */
export async function parityOf(page: Page): Promise<Record<"even" | "odd", Share>> {
  const { answers, wrong } = await check(page);
  const texts = await page.locator("#parity dd span").allTextContents();
  const [even, odd] = texts.map((text) => {
    const [used, of] = text.split(" of ").map(numberOf);
    return { used, of } as Share;
  }) as [Share, Share];
  const counted = [0, 1].map((parity) => {
    return answers.filter((state, port) => port % 2 === parity && isInUse(state)).length;
  });
  expect(wrong).toEqual([]);
  expect([even.used, odd.used]).toEqual(counted);
  return { even, odd };
}

function isInUse(state: number): boolean {
  return state === HELD || state === SHARED || state === COOLING;
}

export async function pointAt(page: Page, port: number): Promise<void> {
  const box = await page.locator("#map").boundingBox();
  if (box === null) throw new Error("there is no picture");
  const x = box.x + (((port & 255) + 0.5) * box.width) / 256;
  const y = box.y + (((port >> 8) + 0.5) * box.height) / 256;
  await page.mouse.move(x, y);
}

/** So many operations as the page has shown so far. */
export async function operations(page: Page): Promise<number> {
  return numberOf((await page.textContent("#clock-shown")) ?? "");
}

/** Waits until so many operations more have been shown. */
export async function later(page: Page, more: number): Promise<void> {
  const now = await operations(page);
  await page.waitForFunction((least) => {
    const shown = document.getElementById("clock-shown")?.textContent ?? "";
    return Number.parseInt(shown.replaceAll(",", ""), 10) >= least;
  }, now + more);
}

export function isShown(operations: number): boolean {
  const shown = document.getElementById("clock-shown")?.textContent ?? "";
  return Number.parseInt(shown.replaceAll(",", ""), 10) === operations;
}

/** Waits until all systems have been measured at the first so many occupancies. */
export async function measured(page: Page, occupancies: number): Promise<void> {
  const least = occupancies * 3;
  const count = (least: number): boolean =>
    document.querySelectorAll("#costs small").length >= least;
  await page.waitForFunction(count, least, { timeout: 600_000 });
}

export function numberOf(text: string): number {
  return Number.parseInt(text.replaceAll(",", ""), 10);
}

/** `988 k` or `1.01 M`. */
export function rateOf(text: string | null): number {
  const [, digits = "", unit = ""] = /^([\d.,]+) ?([kM]?)/.exec(text ?? "") ?? [];
  const factor = unit === "M" ? 1e6 : unit === "k" ? 1e3 : 1;
  return Number(digits.replaceAll(",", "")) * factor;
}
