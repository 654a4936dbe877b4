// Holdfast as it was built from another commit: a second participant, to compare this build with.
import * as otherBuild from "holdfast-other";
import { peerOf } from "./holdfast.js";
import { otherName, type Peer } from "./peer.js";

/** The folder of that build, which the bundler fills in; empty if there is none. */
declare const otherDist: string;

export const other: Peer | undefined = otherDist === "" ? undefined : peerOf(otherBuild, otherName, otherDist);
