// Makes an ES module of ipaddr.js, which is published for CommonJS alone. Loading that from an ES module
// starts Node's other loader, for five milliseconds and more of a cold process, and would be one more
// package to install.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const from = "node_modules/ipaddr.js";
const { version } = JSON.parse(readFileSync(`${from}/package.json`, "utf8"));
const licence = readFileSync(`${from}/LICENSE`, "utf8").trim();
const source = readFileSync(`${from}/lib/ipaddr.js`, "utf8");

writeFileSync(
  "build/ipaddr.js",
  `/*! ipaddr.js ${version}

${licence}
*/
const module = { exports: {} };
${source.replace(/}\(this\)\);\s*$/, "}({}));")}
export default module.exports;
`,
);
writeFileSync("build/ipaddr.d.ts", 'import ipaddr from "ipaddr.js";\nexport default ipaddr;\n');
