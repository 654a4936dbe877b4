import { Decoder } from "@msgpack/msgpack";

/** The class with what is private in its types. Its version is pinned, and a test tells if these are no longer there. */
interface Insides extends Pick<Decoder, "decode" | "decodeMulti"> {
  readonly bytes: Uint8Array;
  readonly pos: number;
  decodeUtf8String(byteLength: number, headerOffset: number): string;
}

/** The library gives longer texts to a TextDecoder that takes U+FEFF at their beginning for a mark, and leaves it out. Here it stays. */
class ExactDecoder extends (Decoder as unknown as new () => Insides) {
  override decodeUtf8String(byteLength: number, headerOffset: number): string {
    const { bytes } = this;
    const at = this.pos + headerOffset;
    const text = super.decodeUtf8String(byteLength, headerOffset);
    if (byteLength < 3 || bytes[at] !== 0xef || bytes[at + 1] !== 0xbb || bytes[at + 2] !== 0xbf) return text;
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at, at + byteLength));
  }
}

/** Decodes one value. */
export function decode(bytes: Uint8Array): unknown {
  return new ExactDecoder().decode(bytes);
}

/** Decodes values that follow one another. */
export function decodeMulti(bytes: Uint8Array): Iterable<unknown> {
  return new ExactDecoder().decodeMulti(bytes);
}
