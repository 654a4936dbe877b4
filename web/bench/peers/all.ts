// Everybody who takes part, in the order of the tables.
import { dexie } from "./dexie.js";
import { floor } from "./floor.js";
import { holdfast } from "./holdfast.js";
import { idb } from "./idb.js";
import { other } from "./other.js";
import type { Peer } from "./peer.js";
import { pouchdb } from "./pouchdb.js";
import { rxdb } from "./rxdb.js";
import { sqlite } from "./sqlite.js";
import { yjs } from "./yjs.js";

/** This build of Holdfast, and the other one if it is given. */
export const builds: readonly Peer[] = other === undefined ? [holdfast] : [holdfast, other];

export const peers: readonly Peer[] = [...builds, floor, idb, dexie, rxdb, pouchdb, yjs, sqlite];
