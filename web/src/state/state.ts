import type { ConversationState, Message, Note, Step } from "../types.js";
import { Lazy } from "./lazy.js";
import { StoredMessage } from "./message.js";
import { decodeMetadata, type Metadata } from "./metadata.js";
import { Notes } from "./note.js";
import { decodeRows, type NoteRow } from "./row.js";
import { Table } from "./table.js";

// The state is in Go. Its changes arrive here as rows, and become immutable objects: a new one for
// each message that has changed, the old ones for the others.

let ownMessages: PropertyDescriptor;

/** An immutable state. The next one shares what has not changed: a long log makes it no slower. */
export class State implements ConversationState {
  /** Where each message is in `#table`. States that follow one another share it: it only grows. */
  readonly #places: Map<string, number>;
  /** The messages that any event has named, in the order in which they were first named. */
  readonly #table: Table<StoredMessage>;
  /** The places of those that were received, in order of arrival. */
  readonly #arrived: Table<number>;
  /** By type. */
  readonly #notes: ReadonlyMap<string, Notes>;
  readonly #metadata: Lazy<Uint8Array | null, Metadata>;
  readonly #messages: Lazy<State, readonly Message[]>;
  declare readonly messages: readonly Message[];

  private constructor(
    places: Map<string, number>,
    table: Table<StoredMessage>,
    arrived: Table<number>,
    notes: ReadonlyMap<string, Notes>,
    metadata: Lazy<Uint8Array | null, Metadata>,
  ) {
    this.#places = places;
    this.#table = table;
    this.#arrived = arrived;
    this.#notes = notes;
    this.#metadata = metadata;
    this.#messages = new Lazy<State, readonly Message[]>(this, (state) => Object.freeze(state.#arrived.items().flatMap((place) => state.#table.at(place)?.view ?? [])));
    Object.freeze(Object.defineProperty(this, "messages", ownMessages)); // its own, so that a copy has it
  }

  static {
    ownMessages = {
      enumerable: true,
      get(this: State) {
        return this.#messages.value;
      },
    };
  }

  static readonly empty: State = new State(new Map(), Table.empty(), Table.empty(), new Map(), new Lazy<Uint8Array | null, Metadata>(null, decodeMetadata));

  /** Returns this state, or the empty one after a reset, with the changes in `rows`. */
  after(rows: Uint8Array, reset: boolean): State {
    const before = reset ? State.empty : this;
    const places = before.#ownPlaces();
    const changes: [number, StoredMessage][] = [];
    const arrivals: [number, number][] = [];
    const noted: NoteRow[] = [];
    let metadata = before.#metadata;
    for (const row of decodeRows(rows)) {
      if (row.length === 1) metadata = new Lazy<Uint8Array | null, Metadata>(row[0], decodeMetadata);
      else if (row.length !== 15) noted.push(row);
      else {
        const [id] = row;
        const place = places.get(id) ?? places.size;
        places.set(id, place);
        const known = before.#table.at(place);
        const message = new StoredMessage(row, known);
        changes.push([place, message]);
        if (message.received && known?.received !== true) arrivals.push([before.#arrived.size + arrivals.length, place]);
      }
    }
    return new State(places, before.#table.after(changes), before.#arrived.after(arrivals), before.#notesWith(noted), metadata);
  }

  #notesWith(added: readonly NoteRow[]): ReadonlyMap<string, Notes> {
    if (added.length === 0) return this.#notes;
    const notes = new Map(this.#notes);
    for (const type of new Set(added.map(([, of]) => of))) notes.set(type, (notes.get(type) ?? Notes.none).after(added.filter(([, of]) => of === type)));
    return notes;
  }

  notes<Data>(type: string): readonly Note<Data>[] {
    return (this.#notes.get(type) ?? Notes.none).all as readonly Note<Data>[];
  }

  get metadata(): Metadata {
    return this.#metadata.value;
  }

  /** Returns the places, to add to: a copy if another state has followed this one before. */
  #ownPlaces(): Map<string, number> {
    const { size } = this.#table;
    if (size > 0 && this.#places.size === size) return this.#places;
    return new Map(this.#table.items().map(({ id }, place) => [id, place]));
  }

  /** Finds a message, also one that was never received. */
  #known(id: string): StoredMessage | undefined {
    const place = this.#places.get(id);
    const found = place === undefined ? undefined : this.#table.at(place);
    return found?.id === id ? found : undefined; // a later state may have put it there
  }

  message(id: string): Message | undefined {
    return this.stored(id)?.view;
  }

  /** The same message as it is stored. */
  stored(id: string): StoredMessage | undefined {
    const found = this.#known(id);
    return found?.received === true ? found : undefined;
  }

  isReceived(id: string): boolean {
    return this.stored(id) !== undefined;
  }

  isInProgress(id: string): boolean {
    return this.#known(id)?.inProgress ?? false;
  }

  isFullyProcessed(id: string): boolean {
    return this.#known(id)?.status === "finished";
  }

  lastCompletedStep(id: string): number | undefined {
    return this.#known(id)?.steps.findLast(({ error }) => error === undefined)?.index;
  }

  completedStep(id: string, index: number): Step | undefined {
    return this.#known(id)?.steps.find((step) => step.index === index && step.error === undefined);
  }

  error(id: string): string | undefined {
    return this.#known(id)?.error;
  }
}
