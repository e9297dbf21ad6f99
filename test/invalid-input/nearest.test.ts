// Which known name is suggested for a wrong one: only what may have been meant.

import { describe, expect, test } from "vitest";
import { nearest } from "../../bindings/errors.ts";

const PLAN = ["sources", "destinations", "rate", "lifetime", "range", "for", "json", "top"];

describe("the name that may be meant", () => {
  test.each([
    ["source", "sources"],
    ["SOURCES", "sources"],
    ["raet", "rate"],
    ["rnage", "range"],
    ["lifetiem", "lifetime"],
    ["lifetimeSeconds", "lifetime"],
    ["destination", "destinations"],
    ["destinat", "destinations"],
    ["jsn", "json"],
    ["fro", "for"],
  ])("%s: %s", (name, meant) => {
    expect(nearest(name, PLAN)).toBe(meant);
  });

  test("foo is not top", () => {
    expect(nearest("foo", ["destination", "top", "json", "help"])).toBeUndefined();
  });

  test.each(["frob", "x", "", "coolDown", "format", "dest", "nonsense", "constructor"])(
    "%s: none is near",
    (name) => {
      expect(nearest(name, PLAN)).toBeUndefined();
    },
  );

  test("is the nearest of several, and the first of those", () => {
    expect(nearest("ports", ["port", "ports2", "sorts"])).toBe("port");
    expect(nearest("portss", ["port", "ports"])).toBe("ports");
  });
});
