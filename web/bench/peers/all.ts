// Everybody who takes part, in the order of the tables.
import { dexie } from "./dexie.js";
import { floor } from "./floor.js";
import { holdfast } from "./holdfast.js";
import { idb } from "./idb.js";
import type { Peer } from "./peer.js";
import { pouchdb } from "./pouchdb.js";
import { rxdb } from "./rxdb.js";
import { sqlite } from "./sqlite.js";
import { yjs } from "./yjs.js";

export const peers: readonly Peer[] = [holdfast, floor, idb, dexie, rxdb, pouchdb, yjs, sqlite];
