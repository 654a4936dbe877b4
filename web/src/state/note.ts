import type { Note } from "../types.js";
import { decodeShared } from "../values.js";
import { Lazy } from "./lazy.js";
import type { NoteRow } from "./row.js";
import { Table } from "./table.js";

/** A note, and how many of all types were before it. */
interface Placed {
  readonly place: number;
  readonly note: Note;
}

/** The notes of one type, immutable. The next list shares what was there before. */
export class Notes {
  readonly #table: Table<Placed>;
  readonly #all: Lazy<Table<Placed>, readonly Note[]>;

  private constructor(table: Table<Placed>) {
    this.#table = table;
    this.#all = new Lazy(table, (placed) => notesOf(placed.items()));
  }

  static readonly none: Notes = new Notes(Table.empty());

  /** As applications see them: the same array until there are more. */
  get all(): readonly Note[] {
    return this.#all.value;
  }

  /** Those that are among the first `count` of all types. */
  first(count: number): readonly Note[] {
    return notesOf(this.#table.items().filter(({ place }) => place < count));
  }

  /** Returns a list with the notes of these rows, and their places, after those of this one. */
  after(rows: readonly (readonly [place: number, row: NoteRow])[]): Notes {
    return new Notes(this.#table.after(rows.map(([place, row], i) => [this.#table.size + i, { place, note: noteOf(row) }])));
  }
}

function notesOf(placed: readonly Placed[]): readonly Note[] {
  return Object.freeze(placed.map(({ note }) => note));
}

function noteOf([id, type, at, data]: NoteRow): Note {
  const shared = new Lazy<Uint8Array | null, ReturnType<typeof decodeShared>>(data ?? null, decodeShared);
  return Object.freeze(Object.defineProperty({ id, type, at }, "data", { get: () => shared.value.value, enumerable: true })) as Note;
}
