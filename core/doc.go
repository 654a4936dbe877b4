// Package core is the heart of Holdfast: durable conversations, as an
// event-sourced log over a [DurableStore].
//
// A [Conversation] appends one event for every fact about a message: it was
// received, its processing started, a step completed with an output, it
// finished, or it failed. After a crash [Recover] replays the log, and
// [Conversation.ReceiveMessage] decides for a redelivered message whether to
// skip it, to start it, or to resume it at the step after the last completed
// one.
//
// The package is pure Go and knows no browser. The names and the semantics are
// those of the type DurableConversation of the Rust crate liminal-rs.
package core
