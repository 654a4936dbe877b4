import type { Note } from "../types.js";
import { decodeShared } from "../values.js";
import { Lazy } from "./lazy.js";
import type { NoteRow } from "./row.js";
import { Table } from "./table.js";

/** The notes of one type, immutable. The next list shares what was there before. */
export class Notes {
  readonly #table: Table<Note>;
  readonly #all: Lazy<Table<Note>, readonly Note[]>;

  private constructor(table: Table<Note>) {
    this.#table = table;
    this.#all = new Lazy(table, (notes) => Object.freeze(notes.items()));
  }

  static readonly none: Notes = new Notes(Table.empty());

  /** As applications see them: the same array until there are more. */
  get all(): readonly Note[] {
    return this.#all.value;
  }

  /** Returns a list with the notes of these rows after those of this one. */
  after(rows: readonly NoteRow[]): Notes {
    return new Notes(this.#table.after(rows.map((row, i) => [this.#table.size + i, noteOf(row)])));
  }
}

function noteOf([id, type, at, data]: NoteRow): Note {
  const shared = new Lazy<Uint8Array | null, ReturnType<typeof decodeShared>>(data ?? null, decodeShared);
  return Object.freeze(Object.defineProperty({ id, type, at }, "data", { get: () => shared.value.value, enumerable: true })) as Note;
}
