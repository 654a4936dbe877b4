// Package wire writes and reads the elements of msgpack that Holdfast stores
// and passes to the page, and seals stored bytes with a checksum.
//
// The encoding is strict: every length and every integer takes its shortest
// form, so that a value has exactly one encoding. The specification is
// https://github.com/msgpack/msgpack/blob/master/spec.md. What an array of
// elements means is known to its caller: core for events, messages and
// snapshots, wasm for what only the page reads.
package wire
