// A snapshot in IndexedDB, as docs/guide/state.md says it: in a page.

import { expect, test } from "vitest";
import { IPV4, PortManager, TCP } from "../../../bindings/index.ts";

const STORE = "snapshots";

function opened(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => void request.result.createObjectStore(STORE);
  return answerOf(request);
}

function answerOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

test("a manager is restored from IndexedDB, where its snapshot was put", async () => {
  const ports = PortManager.open({ seed: 7 });
  const { port } = ports.reservePort({ networks: [IPV4], transport: TCP, address: "10.0.0.1" });
  const name = `ports ${Date.now()}`;
  const database = await opened(name);
  const writing = database.transaction(STORE, "readwrite");
  const done = new Promise((resolve) => {
    writing.oncomplete = resolve;
  });
  writing.objectStore(STORE).put(ports.snapshot(), "ports");
  await done;
  const reading = database.transaction(STORE).objectStore(STORE);
  const restored = PortManager.restore(await answerOf(reading.get("ports")));
  expect([...restored.reservations()].map((one) => one.port)).toEqual([port]);
  for (const manager of [ports, restored]) manager.close();
  database.close();
  await answerOf(indexedDB.deleteDatabase(name));
});
