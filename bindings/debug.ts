// portwarden/debug: imported for its effect alone, before anything of portwarden is opened. From
// then on the package runs on the debug builds of its modules: their asserts are on, and one that
// fails throws an error with a message, a file and a line. It exports nothing.

import { cooldown, core, linux } from "#debug-wasm";
import { useLoader } from "./core/debug-instance.ts";
import { replaceModules } from "./core/module.ts";

replaceModules({ "core.wasm": core, "linux.wasm": linux, "cooldown.wasm": cooldown });
useLoader();
