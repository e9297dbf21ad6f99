// The bind bucket of one TCP port on Linux 6.18: its owners, by local address, and what it
// remembers of them so that bind() and connect() need not look at each.

import { type Address, keyOf } from "./address.ts";
import { conflictsOnTcp, type Owner, overlaps, type Party, type Strictness } from "./rules.ts";

/**
 * What a bucket and each of its parts remember: -1 as long as connect() alone has brought owners.
 */
interface Memory {
  reuse: -1 | 0;
  reusePort: -1 | 0 | 1;
}

interface Part extends Memory {
  readonly owners: Set<BucketOwner>;
}

/** A socket or TIME_WAIT that owns a TCP port. */
export interface BucketOwner extends Owner {
  address: Address;
  /** Did connect() pick the port? */
  isConnectBound: boolean;
}

export type Newcomer = BucketOwner & {
  /** Is it in a group of SO_REUSEPORT listeners? */
  readonly isGrouped: boolean;
};

export class Bucket implements Memory {
  reuse: -1 | 0 = 0;
  reusePort: -1 | 0 | 1 = 0;
  /** The last SO_REUSEPORT socket that was not like the one remembered before. */
  #like: Pick<Party, "address" | "v6only" | "isV6" | "uid"> | undefined;
  readonly #parts = new Map<string, Part>();

  get isEmpty(): boolean {
    return this.#parts.size === 0;
  }

  *owners(): Generator<BucketOwner> {
    for (const { owners } of this.#parts.values()) yield* owners;
  }

  /** May an automatic connect() use the port? */
  get isForConnect(): boolean {
    return this.reuse === -1 && this.reusePort === -1;
  }

  /** Does an owner keep the socket away? */
  conflicts(socket: BucketOwner, strictness: Strictness): boolean {
    for (const owner of this.owners()) {
      if (owner !== socket && conflictsOnTcp(socket, owner, strictness)) return true;
    }
    return false;
  }

  /**
   * Is it an SO_REUSEPORT socket like the one that is remembered? Then no conflict is looked for.
   */
  isLike(socket: Newcomer): boolean {
    const like = this.#like;
    if (this.reusePort !== 1 || like === undefined) return false;
    if (!socket.reusePort || socket.isGrouped || like.uid !== socket.uid) return false;
    return overlaps(like, socket, true, false);
  }

  /** A socket that bind() or listen() has let in is remembered; it may be an owner already. */
  admit(socket: Newcomer): void {
    if (!socket.reuseAddr || socket.isListening) this.reuse = 0;
    if (!socket.reusePort) {
      this.reusePort = 0;
    } else if (!this.isLike(socket)) {
      this.reusePort = 1;
      const { address, v6only, isV6, uid } = socket;
      this.#like = { address, v6only, isV6, uid };
    }
    const part = this.#part(socket.address);
    part.reuse = this.reuse;
    part.reusePort = this.reusePort;
  }

  /** The socket that is the first owner comes from connect(). */
  startForConnect(): void {
    this.reuse = -1;
    this.reusePort = -1;
  }

  add(owner: BucketOwner): void {
    const isNew = !this.#parts.has(keyOf(owner.address));
    const part = this.#part(owner.address);
    if (isNew && owner.isConnectBound) part.reuse = part.reusePort = -1;
    part.owners.add(owner);
  }

  /**
   * The owner leaves; when connect() brought all that stay, connect() may use the port again.
   */
  remove(owner: BucketOwner): void {
    this.#leavePart(owner);
    if (this.isForConnect) return;
    const parts = [...this.#parts.values()];
    if (parts.every(({ reuse, reusePort }) => reuse === -1 && reusePort === -1)) {
      this.startForConnect();
    }
  }

  /** The owner has another address from now on. */
  move(owner: BucketOwner, address: Address): void {
    if (keyOf(address) !== keyOf(owner.address)) {
      this.#leavePart(owner);
      owner.address = address;
      this.add(owner);
    }
    owner.address = address;
  }

  #leavePart(owner: BucketOwner): void {
    const key = keyOf(owner.address);
    const part = this.#parts.get(key) as Part;
    part.owners.delete(owner);
    if (part.owners.size === 0) this.#parts.delete(key);
    else if ([...part.owners].every(({ isConnectBound }) => isConnectBound)) {
      part.reuse = part.reusePort = -1;
    }
  }

  #part(address: Address): Part {
    const key = keyOf(address);
    let part = this.#parts.get(key);
    if (part === undefined) {
      part = { owners: new Set(), reuse: 0, reusePort: 0 };
      this.#parts.set(key, part);
    }
    return part;
  }
}
