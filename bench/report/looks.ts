// Looks: how each system is drawn, in every chart alike. Colours are those of Okabe and Ito, which can
// be told apart with any kind of colour vision; symbols and dashes tell apart what shares a colour.

import type { System } from "../harness/setup.ts";

interface Look {
  readonly color: string;
  readonly symbol: string;
  readonly dash: "solid" | "dashed" | "dotted";
}

export const LOOKS: Readonly<Record<System, Look>> = {
  handles: { color: "#0072b2", symbol: "circle", dash: "solid" },
  batch: { color: "#0072b2", symbol: "emptyCircle", dash: "dashed" },
  words: { color: "#009e73", symbol: "triangle", dash: "solid" },
  sockets: { color: "#0072b2", symbol: "circle", dash: "solid" },
  reference: { color: "#d55e00", symbol: "diamond", dash: "solid" },
  "js-set": { color: "#cc79a7", symbol: "rect", dash: "dashed" },
  "js-bitmap": { color: "#e69f00", symbol: "rect", dash: "solid" },
  "js-bitmap batch": { color: "#e69f00", symbol: "emptyRect", dash: "dashed" },
  connector: { color: "#0072b2", symbol: "circle", dash: "solid" },
  "connector promise": { color: "#0072b2", symbol: "emptyCircle", dash: "dashed" },
  "net.connect": { color: "#d55e00", symbol: "diamond", dash: "solid" },
  localAddress: { color: "#e69f00", symbol: "rect", dash: "solid" },
  localPort: { color: "#009e73", symbol: "triangle", dash: "dashed" },
  "get-port": { color: "#56b4e9", symbol: "triangle", dash: "dashed" },
  portfinder: { color: "#56b4e9", symbol: "diamond", dash: "dotted" },
  "node listen(0)": { color: "#56b4e9", symbol: "circle", dash: "solid" },
  js: { color: "#e69f00", symbol: "circle", dash: "solid" },
  wasm: { color: "#0072b2", symbol: "rect", dash: "solid" },
  "gvisor (recorded)": { color: "#333333", symbol: "emptyTriangle", dash: "dotted" },
  "linux (recorded)": { color: "#333333", symbol: "emptyTriangle", dash: "dotted" },
};
