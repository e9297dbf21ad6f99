// Vitepress: how the pages of docs/ are built into a site of static files, with a search in the
// page and the port map of bench/page inside. `npm run docs` runs it.

import { fileURLToPath } from "node:url";
import { build } from "vite";
import { defineConfig, type UserConfig } from "vitepress";
import { slugOf } from "./slug.ts";

interface Item {
  readonly text: string;
  readonly link: string;
}

const config: UserConfig = defineConfig({
  title: "portwarden",
  description: "Local TCP and UDP port allocation",
  // Relative to this folder's parent.
  outDir: "../build/site",
  cacheDir: "../build/site-cache",
  markdown: { anchor: { slugify: slugOf } },
  // The port map is no page of vitepress: it is built into the site when the pages are there.
  ignoreDeadLinks: [/^\/map\//],
  buildEnd: async ({ outDir }) => {
    const configFile = fileURLToPath(new URL("../../bench/page/vite.config.ts", import.meta.url));
    await build({ configFile, logLevel: "warn", build: { outDir: `${outDir}/map` } });
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Getting started", link: "/getting-started" },
      { text: "Reference", link: "/reference/" },
      { text: "Port map", link: "/map/index.html", target: "_self" },
    ],
    sidebar: [
      {
        text: "Start",
        items: [item("Getting started"), item("Glossary"), item("Benchmarks")],
      },
      {
        text: "Guides",
        items: [
          ["The connector", "connector"],
          ["Many processes", "many-processes"],
          ["Ports to listen on", "listening"],
          ["Adapters", "adapters"],
          ["Running out of ports", "running-out"],
          ["Metrics and events", "metrics"],
          ["The command line", "command-line"],
          ["Reservations and pools", "reservations-and-pools"],
          ["Groups and reserved ports", "groups"],
          ["Cooldown", "cooldown"],
          ["Port selection", "port-selection"],
          ["The state of a manager", "state"],
          ["Linux", "linux"],
          ["Runtimes", "runtimes"],
        ].map(([text = "", name]) => ({ text, link: `/guide/${name}` })),
      },
      {
        text: "Reference",
        items: [
          ["All exports", ""],
          ["Requests", "requests"],
          ["PortManager", "port-manager"],
          ["PortPool", "port-pool"],
          ["PortListener", "port-listener"],
          ["Reservation", "reservation"],
          ["ReservedPorts", "reserved-ports"],
          ["State of a manager", "state"],
          ["PortGroups", "port-groups"],
          ["PortGroup", "port-group"],
          ["LinuxPorts", "linux-ports"],
          ["LinuxSocket", "linux-socket"],
          ["State of a LinuxPorts", "linux-state"],
          ["Linux 2.6.32", "linux-2.6.32"],
          ["Sysctl", "sysctl"],
          ["Selection policies", "selection"],
          ["Errors", "errors"],
          ["Connector", "connector"],
          ["Blocks", "blocks"],
          ["listenOn, leasePort", "listening"],
          ["Agents of node:http", "http-agents"],
          ["undiciConnect", "undici"],
          ["autocannonSetup", "autocannon"],
          ["bindDatagram", "datagrams"],
          ["PortSocket", "port-socket"],
          ["Options of adapters", "adapter-options"],
          ["Metrics", "metrics"],
          ["Events", "events"],
          ["readHostState", "host-state"],
        ].map(([text = "", name]) => ({ text, link: `/reference/${name}` })),
      },
      {
        text: "Internals",
        items: [
          "Architecture",
          "Records",
          "Conflict rules",
          "Linux rules",
          "Memory",
          "Modules",
          "Leased blocks",
          "Testing",
          "Decisions",
        ].map((text) => item(text, "/internals")),
      },
    ],
  },
});

export default config;

/** A page whose file is named as its title. */
function item(text: string, folder = ""): Item {
  return { text, link: `${folder}/${text.toLowerCase().replaceAll(" ", "-")}` };
}
