// The user's files: each is a conversation of its own, whose last note is the text as it was dropped last.
import { type Holdfast, HoldfastError } from "@holdfast-dev/holdfast";
import { type Document, type Found, quote, search } from "./agent/search.js";
import { compact, isDamage } from "./message.js";

const prefix = "file/";
const maxBytes = 2_000_000;
const readable = /\.(?:txt|text|md|markdown|mdown)$/iu;

/** Why a file was not taken, in words for people. */
export class FileRefused extends Error {}

export class Library {
  readonly #holdfast: Holdfast;
  /** What has been read, by id and head. */
  readonly #texts = new Map<string, string>();

  constructor(holdfast: Holdfast) {
    this.#holdfast = holdfast;
  }

  /** The names of the files, in order. */
  async names(): Promise<string[]> {
    const files = await this.#holdfast.conversations(prefix);
    return files.map(({ id }) => id.slice(prefix.length));
  }

  /** Stores a file, in place of the one of this name. Rejects with {@link FileRefused} what is no text. */
  async add(file: File): Promise<void> {
    const name = file.name.toWellFormed();
    if (!readable.test(name) && !file.type.startsWith("text/")) throw new FileRefused(`“${name}” is neither text nor Markdown.`);
    if (file.size > maxBytes) throw new FileRefused(`“${name}” has more than ${maxBytes / 1e6} MB.`);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch {
      throw new FileRefused(`“${name}” cannot be read as text in UTF-8.`);
    }
    await this.put(name, text);
  }

  async put(name: string, text: string): Promise<void> {
    const stored = await this.#holdfast.recover(prefix + name).catch((error: unknown) => {
      if (error instanceof HoldfastError && error.code === "invalid_argument") throw new FileRefused(`The name “${name}” cannot be kept.`);
      throw error;
    });
    await stored.note("text", text);
  }

  /** Deletes a file, its text included. */
  async remove(name: string): Promise<void> {
    await this.#holdfast.delete(prefix + name);
  }

  /** The passages that fit a query best, and how many files were looked at. */
  async search(query: string): Promise<{ files: number; passages: Found[] }> {
    const documents = await this.#read();
    return { files: documents.length, passages: search(documents, query) };
  }

  /** The passages that have a text word for word, and how many files were looked at. */
  async quote(text: string): Promise<{ files: number; passages: Found[] }> {
    const documents = await this.#read();
    return { files: documents.length, passages: quote(documents, text) };
  }

  /** The text of a file; undefined if it is damaged, which must not keep the others from being found. */
  async #text(id: string): Promise<string | undefined> {
    try {
      return compact((await this.#holdfast.recover(id)).state.notes("text").at(-1)?.data);
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  async #read(): Promise<Document[]> {
    const documents: Document[] = [];
    for (const { id, head } of await this.#holdfast.conversations(prefix)) {
      const version = `${id}\0${head}`;
      const text = this.#texts.get(version) ?? (await this.#text(id));
      if (text === undefined) continue;
      this.#texts.set(version, text);
      documents.push({ name: id.slice(prefix.length), text });
    }
    return documents;
  }
}
