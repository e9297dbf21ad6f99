// Snapshot of a system by the rules of Linux 2.6.32. restore.ts reads in the same order:
//
//   settings    those of all rules (linux/snapshot.ts); how long TIME_WAIT lasts, tcp_tw_reuse,
//               connect()'s hint, the id of the last socket, the address that routing chooses
//   policies    bind()'s and connect()'s (state/selections.ts), and where `sequential` goes on
//   groups      the trees and groups that sockets are in (state/group-tables.ts)
//   records     sockets, the oldest first, then TIME_WAITs in the order in which they end

import type { Selection } from "../../../selection.ts";
import { LINUX_2632, seal, Writer } from "../../../state/bytes.ts";
import { Tables } from "../../../state/group-tables.ts";
import { writeSelection } from "../../../state/selections.ts";
import { lineOf, recordsOf } from "../../lines.ts";
import { writeAddress, writeSettings } from "../../snapshot.ts";
import { openOf } from "../../system.ts";
import {
  BITS,
  DEVICE,
  DUE,
  enteredIn,
  FASTREUSE,
  GROUP,
  HAS_REMOTE,
  ID,
  LOCAL,
  listed2632,
  PORT,
  REMOTE,
  REMOTE_PORT,
  STATE,
} from "./records.ts";
import type { System } from "./socket-options.ts";

export function snapshot2632(system: System, withSecrets: boolean): Uint8Array {
  const at = openOf(system);
  const { core, linux, localAddress, groups } = system;
  const writer = new Writer();
  writeSettings(writer, system);
  writer.word(system.duration);
  writer.byte(linux.timeWaitReuse(at));
  writer.word(linux.connectHint(at) >>> 0);
  writer.word(linux.lastId(at) >>> 0);
  writer.text(localAddress.text);
  const writePolicy = (selection: Selection): void => {
    writeSelection(writer, core, selection, withSecrets);
    writer.word(selection.place.index >>> 0);
  };
  writePolicy(system.bindSelection);
  writePolicy(system.connectSelection);
  const tables = new Tables(
    listed2632(system).map(({ group }) => ({ group, reserved: undefined })),
  );
  tables.write(writer);
  const records = recordsOf(system);
  writer.count(records.length);
  for (const record of records) {
    const line = lineOf(system, record);
    const group = groups.get(line[GROUP] as number);
    writeRecord(writer, line, tables.groupOf({ group }));
  }
  return seal(writer.parts(), LINUX_2632);
}

function writeRecord(writer: Writer, line: Uint32Array, group: number): void {
  const at = (index: number): number => line[index] as number;
  writer.count(at(ID));
  writer.byte(at(BITS));
  writer.byte(at(STATE));
  writer.count(at(DEVICE));
  writer.count(group);
  writer.short(at(PORT));
  writer.byte((at(FASTREUSE) + 1) & 3);
  writeAddress(writer, line, LOCAL);
  if (at(BITS) & HAS_REMOTE) {
    writeAddress(writer, line, REMOTE);
    writer.short(at(REMOTE_PORT));
  }
  if (at(ID) !== 0) return;
  writer.float(enteredIn(line));
  writer.word(at(DUE));
}
