// Package idbstore keeps the streams of package core in the browser's
// IndexedDB, and checks the expected sequence of an append inside the
// transaction that writes it, so that two tabs can never both win a sequence.
//
// # Layout
//
// Database version 1, for ever; all object stores are created at once:
//
//	records    one record per commit, or per several that were merged
//	           (compact.go): a batch of consecutive events (record.go), under
//	           utf8(stream) 00 be64(end), where end is the sequence after the
//	           batch, and a mark if it is large (key.go)
//	values     compare-and-swap values, under utf8(key)
//	snapshots  what a stream amounts to, which saves a replay, under
//	           utf8(stream)
//	meta       "format", "epoch" (random, 16 bytes), "created" (ms), "flushed"
//	           (ms), "replaces <epoch>" (ms): when it was reported that this
//	           database has come in place of that one
//
// The epoch and the heads of the streams that were written to last are also
// remembered outside the database (heads.go): in the file holdfast:<database>
// of the origin private file system, or under that name in localStorage where
// files cannot be written.
//
// Because records are keyed by their end, the range from key(stream, offset+1)
// starts exactly at the record that contains offset, and the last key of a
// stream is its head.
//
// # Structure
//
// What needs no browser is in files without a build constraint, and uses the
// small interface of engine.go. The files that end in _js.go are its only real
// implementation. Transactions begin and end in transaction.go, except for the
// appends that append.go makes in one step.
package idbstore
