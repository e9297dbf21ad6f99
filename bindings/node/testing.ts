// Everything that portwarden/node/testing exports: what a store of blocks must do, as checks that
// any test runner can run.

export {
  type BlockStoreCheck,
  type BlockStoreChecksOptions,
  blockStoreChecks,
} from "./blocks/store-checks.ts";
