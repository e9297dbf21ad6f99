// What the plugin of test/docs/page-blocks.ts makes.

declare module "virtual:page-blocks" {
  /** The blocks by where they stand; each is run by its call. */
  export const blocks: Readonly<Record<string, () => Promise<unknown>>>;
}
