// Package runner processes the messages of a conversation with a handler whose
// steps are durable: a step that has ended is never run again, in no tab and
// after no crash, and the handler goes on after it.
//
// Of all runners of a conversation one works at a time, by a lock of the store.
// The lock only says who works; the log decides. Each attempt at a message
// appends a processing_started event with the runner's random id, and whatever
// the attempt appends later is refused, inside the turn of the conversation, once
// the log says that the message is somebody else's, cancelled or deleted.
package runner
