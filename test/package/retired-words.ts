// Retired words: what portwarden's parts were once called, and what they are called now. The tidy
// test looks for them in code, comments, messages and pages. A word that is given up goes in here.

/** As regular expressions, each for a whole word. */
export const RETIRED: Readonly<Record<string, string>> = {
  checkPicking: "checkMode",
  "rest\\(port": "coolDown(port)",
  rested: "cooled down",
  nextWake: "nextExpiry",
  whenResting: "whenCooling",
  RESTING: "COOLING",
  InGroup: "GroupOption",
  DatagramWhere: "DatagramSource",
  setAside: "quarantine",
  set_aside: "quarantined",
  "set aside": "quarantined",
  triesMax: "maxAttempts",
  readMachine: "readHostState",
  "followers?": "counted set",
  "memos?": "cached plan",
  "lanes?": "fast path",
  excess: "extra counts",
  LOOSE: "padded",
  ticket: "position",
  "in other hands": "held by another program",
  whenForgotten: "registerCleanup",
  "twins?": "reference model",
  "without more ado": "at once",
  "had better": "should",
  "machine-text": "host-state",
  antagonist: "reference",
};
