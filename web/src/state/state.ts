import type { ConversationState, Message, Note, Step } from "../types.js";
import { Lazy } from "./lazy.js";
import { StoredMessage } from "./message.js";
import { decodeMetadata, type Metadata } from "./metadata.js";
import { Notes } from "./note.js";
import { decodeRows, isMessage, type NoteRow } from "./row.js";
import { Table } from "./table.js";

// The state is in Go. Its changes arrive here as rows, and become immutable objects: a new one for
// each message that has changed, the old ones for the others.

let own: PropertyDescriptorMap;

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
  readonly #noted: number;
  readonly #metadata: Lazy<Uint8Array | null, Metadata>;
  readonly #messages: Lazy<State, readonly Message[]>;
  readonly #received: Lazy<State, readonly Message[]>;
  /** The messages that follow the one at a position, in order of arrival. */
  readonly #followers: Lazy<State, ReadonlyMap<number, readonly StoredMessage[]>>;
  declare readonly messages: readonly Message[];
  declare readonly received: readonly Message[];

  private constructor(
    places: Map<string, number>,
    table: Table<StoredMessage>,
    arrived: Table<number>,
    notes: ReadonlyMap<string, Notes>,
    noted: number,
    metadata: Lazy<Uint8Array | null, Metadata>,
  ) {
    this.#places = places;
    this.#table = table;
    this.#arrived = arrived;
    this.#notes = notes;
    this.#noted = noted;
    this.#metadata = metadata;
    this.#messages = new Lazy<State, readonly Message[]>(this, (state) => views(state.#lineOf(state.#at(state.#arrived.size - 1))));
    this.#received = new Lazy<State, readonly Message[]>(this, (state) => views(state.#inOrder()));
    this.#followers = new Lazy<State, ReadonlyMap<number, readonly StoredMessage[]>>(this, (state) => byParent(state.#inOrder()));
    Object.freeze(Object.defineProperties(this, own)); // its own, so that a copy has them
  }

  static {
    own = {
      messages: {
        enumerable: true,
        get(this: State) {
          return this.#messages.value;
        },
      },
      received: {
        enumerable: true,
        get(this: State) {
          return this.#received.value;
        },
      },
    };
  }

  static readonly empty: State = new State(new Map(), Table.empty(), Table.empty(), new Map(), 0, new Lazy<Uint8Array | null, Metadata>(null, decodeMetadata));

  /** Returns this state, or the empty one after a reset, with the changes in `rows`. */
  after(rows: Uint8Array, reset: boolean): State {
    const before = reset ? State.empty : this;
    const places = before.#ownPlaces();
    const changes: [number, StoredMessage][] = [];
    const arrivals: [number, number][] = [];
    const noted: [number, NoteRow][] = [];
    const arrivedIds: string[] = [];
    const { size } = before.#arrived;
    const idAt = (position: number): string | undefined => (position < size ? before.#at(position)?.id : arrivedIds[position - size]);
    let metadata = before.#metadata;
    for (const row of decodeRows(rows)) {
      if (row.length === 1) metadata = new Lazy<Uint8Array | null, Metadata>(row[0], decodeMetadata);
      else if (!isMessage(row)) noted.push([before.#noted + noted.length, row]);
      else {
        const [id] = row;
        const place = places.get(id) ?? places.size;
        places.set(id, place);
        const known = before.#table.at(place);
        const position = known?.received === true ? known.position : size + arrivals.length;
        const message = new StoredMessage(row, position, known, idAt);
        changes.push([place, message]);
        if (message.received && known?.received !== true) {
          arrivals.push([position, place]);
          arrivedIds.push(id);
        }
      }
    }
    return new State(places, before.#table.after(changes), before.#arrived.after(arrivals), before.#notesWith(noted), before.#noted + noted.length, metadata);
  }

  #notesWith(added: readonly (readonly [number, NoteRow])[]): ReadonlyMap<string, Notes> {
    if (added.length === 0) return this.#notes;
    const notes = new Map(this.#notes);
    const typeOf = ([, [, type]]: (typeof added)[number]): string => type;
    for (const type of new Set(added.map(typeOf))) notes.set(type, (notes.get(type) ?? Notes.none).after(added.filter((note) => typeOf(note) === type)));
    return notes;
  }

  notes<Data>(type: string): readonly Note<Data>[] {
    return (this.#notes.get(type) ?? Notes.none).all as readonly Note<Data>[];
  }

  /** The notes of a type that there were when a message began to be processed. */
  notesAtStart<Data>(id: string, type: string): readonly Note<Data>[] {
    const count = this.stored(id)?.noted ?? this.#noted;
    return (this.#notes.get(type) ?? Notes.none).first(count) as readonly Note<Data>[];
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

  /** The message that arrived at a position. */
  #at(position: number): StoredMessage | undefined {
    const place = this.#arrived.at(position);
    return place === undefined ? undefined : this.#table.at(place);
  }

  /** Those that were received, in order of arrival. */
  #inOrder(): StoredMessage[] {
    return this.#arrived.items().flatMap((place) => this.#table.at(place) ?? []);
  }

  /** A message after those that it follows, the first one first. */
  #lineOf(message: StoredMessage | undefined): StoredMessage[] {
    const line: StoredMessage[] = [];
    for (let one = message; one !== undefined; one = this.#at(one.parent)) line.push(one);
    return line.toReversed();
  }

  /** The messages that a message follows. */
  history(id: string): readonly Message[] {
    return views(this.#lineOf(this.stored(id)).slice(0, -1));
  }

  branch(id: string): readonly Message[] {
    const message = this.stored(id);
    if (message === undefined) return views([]);
    const within = new Set([message.position]);
    let newest = message;
    for (let position = message.position + 1; position < this.#arrived.size; position++) {
      const other = this.#at(position);
      if (other === undefined || !within.has(other.parent)) continue;
      within.add(position);
      newest = other;
    }
    return views(this.#lineOf(newest));
  }

  siblings(id: string): readonly Message[] {
    const message = this.stored(id);
    return views(message === undefined ? [] : (this.#followers.value.get(message.parent) ?? []));
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

function views(messages: readonly StoredMessage[]): readonly Message[] {
  return Object.freeze(messages.map(({ view }) => view));
}

function byParent(messages: readonly StoredMessage[]): ReadonlyMap<number, readonly StoredMessage[]> {
  const followers = new Map<number, StoredMessage[]>();
  for (const message of messages) {
    const siblings = followers.get(message.parent);
    if (siblings === undefined) followers.set(message.parent, [message]);
    else siblings.push(message);
  }
  return followers;
}
