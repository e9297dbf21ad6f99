// Seeds of replays: repeatable, and different from one sequence and one run to the next.

/** A seed of 0..2^30. */
export function seedOf(id: number | string, run = 0): number {
  let hash = 2166136261;
  for (const character of `${id}/${run}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  }
  return (hash >>> 2) | 0;
}
