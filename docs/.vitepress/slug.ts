// Slug: the anchor of a heading, as GitHub makes it, so that links work there and on the site.

export function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
}
