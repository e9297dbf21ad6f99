// Unpack: the WebAssembly modules as the page has them, deflated (RFC 1951) and as text, and as the
// facade takes each, in base64. That saves a third of the page.

/**
 * Modules from a text that has four bytes in five characters: digits to the base of 85, from "(" to
 * "~" without the two that a string may have to escape.
 * @param length how many deflated bytes are in it.
 * @param lengths of the modules, in bytes.
 */
export async function unpack(
  text: string,
  length: number,
  lengths: readonly number[],
): Promise<string[]> {
  const words = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let at = 0; at < text.length; at += 5) {
    let word = 0;
    for (let place = at; place < at + 5; place++) {
      const code = text.charCodeAt(place);
      word = word * 85 + code - 40 - (code > 92 ? 1 : 0) - (code > 96 ? 1 : 0);
    }
    words.setUint32((at / 5) * 4, word);
  }
  const inflating = new Blob([new Uint8Array(words.buffer, 0, length)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(inflating).arrayBuffer());
  let end = 0;
  return lengths.map((one) => {
    end += one;
    return base64(bytes.subarray(end - one, end));
  });
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
