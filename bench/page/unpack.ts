// Unpack: a WebAssembly module as the page has it, deflated (RFC 1951) and in base64, and as the
// facade takes it, in base64 alone. That saves a third of the page.

/** The base64 of what a base64 of deflated bytes holds. */
export async function unpack(packed: string): Promise<string> {
  const deflated = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
  const inflating = new Blob([deflated])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(inflating).arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
