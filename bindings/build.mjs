// Copies two libraries into the build, with their licences, so that the published package does not
// depend on them: ipaddr.js, which is published for CommonJS alone (loading that from an ES module
// starts Node's other loader, for five milliseconds and more of a cold process), and the demo's
// simple-ascii-chart. Clears the place where tsc puts the facade.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

// Or what has been renamed or removed would be published, too.
rmSync("build/bindings", { recursive: true, force: true });

const ipaddr = read("ipaddr.js", "lib/ipaddr.js").replace(/}\(this\)\);\s*$/, "}({}));");
write(
  "ipaddr",
  "ipaddr.js",
  `const module = { exports: {} };\n${ipaddr}\nexport default module.exports;`,
);
write("chart", "simple-ascii-chart", withoutMap(read("simple-ascii-chart", "dist/index.js")));

function write(name, from, code) {
  const { version } = JSON.parse(read(from, "package.json"));
  const licence = read(from, "LICENSE").trim();
  writeFileSync(`build/${name}.js`, `/*! ${from} ${version}\n\n${licence}\n*/\n${code}\n`);
  writeFileSync(`build/${name}.d.ts`, `import library from "${from}";\nexport default library;\n`);
}

function read(from, path) {
  return readFileSync(`node_modules/${from}/${path}`, "utf8");
}

function withoutMap(code) {
  return code.replace(/\/\/# sourceMappingURL=.*\s*$/, "");
}
