// Holder: the other process, which holds ports of our source until it is killed.
//
//   node holder.js listening|connected SOURCE HOST PORT LOCAL-PORT...

import { once } from "node:events";
import { connect, createServer, type TcpNetConnectOpts } from "node:net";

const [how, source, host, port, ...ports] = process.argv.slice(2);
await Promise.all(ports.map((local) => hold(Number(local))));
process.send?.("ready");
process.on("disconnect", () => process.exit());

async function hold(localPort: number): Promise<void> {
  if (how === "listening") {
    await once(createServer().listen(localPort, source), "listening");
    return;
  }
  const ends = { host, port: Number(port), localAddress: source, localPort } as TcpNetConnectOpts;
  await once(connect(ends), "connect");
}
