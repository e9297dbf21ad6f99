// Netstack: the scenario's connections through a PortManager, one flow per destination.

import { cooldownOf } from "../../bindings/cooling.ts";
import { coreOf } from "../../bindings/core.ts";
import { handleOf } from "../../bindings/flow.ts";
import {
  type Flow,
  type FlowOptions,
  IPV4,
  PortManager,
  type SelectionName,
  TCP,
} from "../../bindings/index.ts";
import { reservedAddress } from "../../bindings/reserved.ts";
import type { Drawing } from "./drawing.ts";
import { Limits } from "./limits.ts";
import { Memory, WORDS } from "./memory.ts";
import {
  type Asked,
  attempt,
  automatic,
  LOCAL,
  listed,
  type Ports,
  REMOTE_PORT,
  remoteAddress,
  remoteName,
} from "./ports.ts";
import type { Answer, Place, Span } from "./protocol.ts";
import { DESTINATIONS_MAX, type Settings } from "./settings.ts";
import { PORTS } from "./states.ts";

const SEED = 1;

export class NetstackPorts implements Ports {
  readonly limits: Limits;
  readonly #manager: PortManager;
  readonly #flows: readonly Flow[];
  readonly #rests: boolean;
  #now = 0;
  // Connections, place by place.
  #live = 0;
  readonly #ports: Uint16Array = new Uint16Array(PORTS * DESTINATIONS_MAX);
  readonly #towards: Uint8Array = new Uint8Array(PORTS * DESTINATIONS_MAX);

  readonly #core = coreOf(undefined);
  readonly #memory: Memory = new Memory(this.#core);
  readonly #held: Uint32Array = new Uint32Array(WORDS);
  readonly #resting: Uint32Array = new Uint32Array(WORDS);

  constructor(settings: Settings) {
    const { first, last, selection, destinations, cooldown } = settings;
    const isOrdered = selection === "fifo";
    this.limits = new Limits(settings);
    this.#rests = cooldown > 0;
    this.#manager = PortManager.open({
      portRange: { first, last },
      seed: SEED,
      selection: isOrdered ? "random" : (selection as SelectionName),
      cooldown,
    });
    this.#flows = Array.from({ length: destinations }, (_, destination) =>
      this.#manager.flow({
        ...this.#towardsOf(destination),
        group: this.limits.groupOf(destination),
        reserved: this.limits.reserved,
        ...(isOrdered ? { selection: "fifo" } : {}),
      }),
    );
  }

  get live(): number {
    return this.#live;
  }

  arrive(destination: number): boolean {
    const port = (this.#flows[destination] as Flow).take();
    if (port < 0) return false;
    this.#ports[this.#live] = port;
    this.#towards[this.#live] = destination;
    this.#live++;
    return true;
  }

  leave(index: number): void {
    const flow = this.#flows[this.#towards[index] as number] as Flow;
    const port = this.#ports[index] as number;
    if (this.#rests) flow.rest(port, this.#now);
    else flow.free(port);
    this.#live--;
    this.#ports[index] = this.#ports[this.#live] as number;
    this.#towards[index] = this.#towards[this.#live] as number;
  }

  tick(now: number): void {
    this.#now = now;
    if (!this.#rests) return;
    for (const flow of this.#flows) flow.wake(now);
  }

  get range(): Span {
    return this.#manager.portRange();
  }

  setRange({ first, last }: Span): void {
    this.#manager.setPortRange(first, last);
  }

  read(drawing: Drawing): void {
    const memory = this.#memory;
    drawing.clear();
    memory.refresh();
    for (const flow of this.#flows) {
      memory.readFlow(memory.flowOf(handleOf(flow)), this.#held);
      memory.readCooldown(cooldownOf(flow), this.#resting);
      drawing.addHolder(this.#held, this.#resting);
    }
    memory.readReserved(reservedAddress(this.limits.reserved, this.#core), drawing.reserved);
  }

  ask(port: number): Asked {
    const holders = this.#flows.filter((flow) => flow.has(port)).length;
    const isResting = this.#rests && this.#flows.some((_, index) => this.#isResting(index, port));
    return { holders, isResting };
  }

  holdersOf(port: number): { holders: string[]; resting: string[] } {
    const towards = this.#flows.map((_, destination) => destination);
    const holders = towards.filter((destination) => this.#flows[destination]?.has(port));
    const resting = towards.filter((destination) => this.#isResting(destination, port));
    return { holders: holders.map(remoteName), resting: resting.map(remoteName) };
  }

  requests(port: number, place: Place): Answer[] {
    const answers = this.#flows.map((_, index) => this.#connectFrom(index, port));
    const group = this.limits.groupAt(place);
    const isFresh = (_: Flow, destination: number): boolean => {
      const isOurs = group === undefined || group === this.limits.groupOf(destination);
      return isOurs && answers[destination]?.isGranted === true;
    };
    const fresh = this.#flows.flatMap((flow, index) =>
      isFresh(flow, index) ? [remoteName(index)] : [],
    );
    return [
      automatic(port, this, place, fresh),
      ...merge(answers),
      attempt("listen() on it", () =>
        this.#manager
          .reservePort({ networks: [IPV4], transport: TCP, address: LOCAL, port, group })
          .release(),
      ),
    ];
  }

  close(): void {
    this.#manager.close();
  }

  // ── Helpers ─────────────────────────────────────────────────────────────────────────────

  #towardsOf(destination: number): FlowOptions {
    return {
      networks: [IPV4],
      transport: TCP,
      address: LOCAL,
      destination: { address: remoteAddress(destination), port: REMOTE_PORT },
    };
  }

  /** A port that a flow does not hold, and that cannot be had, rests: nobody else is in the way. */
  #isResting(destination: number, port: number): boolean {
    const flow = this.#flows[destination] as Flow;
    if (!this.#rests || flow.has(port)) return false;
    return !this.#manager.isAvailable({ ...this.#towardsOf(destination), port });
  }

  #connectFrom(destination: number, port: number): Answer {
    const request = remoteName(destination);
    if (this.#isResting(destination, port)) {
      return { request, isGranted: false, answer: "it rests after its last connection" };
    }
    return attempt(request, () => {
      const group = this.limits.groupOf(destination);
      this.#manager.reservePort({ ...this.#towardsOf(destination), port, group }).release();
    });
  }
}

/** One answer for all destinations that are told the same, but for their names: that of the first of them. */
function merge(answers: readonly Answer[]): Answer[] {
  const byReason = new Map<string, Answer[]>();
  for (const answer of answers) {
    const reason = answer.answer.split(":")[0] as string;
    byReason.set(reason, [...(byReason.get(reason) ?? []), answer]);
  }
  return [...byReason.values()].map((alike) => {
    const [{ isGranted, answer }] = alike as [Answer, ...Answer[]];
    const names = listed(alike.map(({ request }) => request));
    return { request: `connect() from it to ${names}`, isGranted, answer };
  });
}
