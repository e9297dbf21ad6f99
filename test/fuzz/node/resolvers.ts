// Resolvers of the connector's fuzzer: twelve kinds, good ones and those that do what a resolver
// must not.

import type { Lookup, LookupAddress } from "../../../bindings/node/index.ts";

const [ONE, TWO, SIX]: [LookupAddress, LookupAddress, LookupAddress] = [
  { address: "127.0.0.1", family: 4 },
  { address: "127.0.0.21", family: 4 },
  { address: "::1", family: 6 },
];
const MANY = Array.from({ length: 3000 }, (_, index) => ({
  address: `127.2.${index >> 8}.${index & 255}`,
  family: 4,
}));

export const RESOLVERS: readonly Lookup[] = [
  (_host, _options, done) => done(null, [ONE]),
  (_host, _options, done) => void setTimeout(() => done(null, [ONE, TWO]), 3),
  (_host, _options, done) => done(null, [SIX, TWO, ONE]),
  (_host, _options, done) => done(null, MANY),
  (_host, _options, done) => done(null, []),
  (_host, _options, done) => done(Object.assign(new Error("gone"), { code: "ESERVFAIL" }), []),
  () => {
    throw new Error("the resolver has thrown");
  },
  (_host, _options, done) => {
    done(null, [ONE]);
    done(null, [TWO]);
    done(new Error("a third answer"), []);
  },
  (_host, _options, done) => done(null, "127.0.0.1" as never),
  (_host, _options, done) => done(null, [{ address: "nowhere", family: 4 }, ONE]),
  // Never answers.
  () => {},
  (_host, _options, done) => {
    done(null, [TWO]);
    throw new Error("the resolver has thrown after its answer");
  },
];
