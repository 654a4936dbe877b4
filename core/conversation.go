package core

import (
	"context"
	"sync/atomic"

	"github.com/holdfast-dev/holdfast/internal/later"
)

// Conversation is a durable conversation: a log of events in a [DurableStore],
// the [State] that follows from it, and the sequence that its next event is
// expected to get. Make one with [New] or [Recover].
//
// It is safe for concurrent use. Appends and refreshes happen one at a time; a
// call that waits for its turn gives up when its context ends. State and
// expected sequence change only after the store has committed, so an append
// that fails leaves both as they were.
//
// Events recorded during an append are appended together after it: all or none,
// in the order of the calls. A failure is the failure of all of them.
//
// Several conversations may have the same id, also in other tabs. Of those that
// append at the same time one succeeds; the others get a
// [*SequenceConflictError], because only the caller can decide again after a
// [Conversation.Refresh]. [Conversation.Update] is given how to decide, and
// retries, as do the methods that say so.
//
// If the store is [Timed], all that a call does ends with one deadline, which
// begins with the call: to wait for the calls before it, to read what others have
// appended, and to append again. A call that has not come to append until then
// returns [ErrBlocked]. To settle an append may take two seconds more.
//
// Errors are those of the store and of [EncodeEvent]; [Code.Outcome] says
// whether something was written. If the store does not know the outcome of an
// append, the conversation settles it by reading back. [ErrOutcomeUnknown]
// remains only where that fails.
type Conversation struct {
	log       *log
	writer    *writer
	companion atomic.Pointer[companion]
}

// New returns a conversation with an empty state that expects an empty log. It
// reads nothing: if the log is not empty, the first append is a conflict. The
// only error is that of [CheckName] for the id, which names the stream.
func New(id string, store DurableStore) (*Conversation, error) {
	if err := CheckName("new", id); err != nil {
		return nil, err
	}
	return conversation(id, store, NewState()), nil
}

func conversation(id string, store DurableStore, state *State) *Conversation {
	l := &log{id: id, store: store, state: state}
	l.snapshots.timer = later.New(func() { _ = l.saveSnapshot(context.Background()) })
	return &Conversation{log: l, writer: &writer{log: l}}
}

// ID returns the conversation's id, which is the name of its stream.
func (c *Conversation) ID() string { return c.log.id }

// Store returns the store of the conversation.
func (c *Conversation) Store() DurableStore { return c.log.store }

// State returns the live state: its queries always answer as of the last commit
// or refresh. It stays the same object for the life of the conversation. Only
// the conversation may apply events to it, others to a [State.Clone].
func (c *Conversation) State() *State { return c.log.state }

// ExpectedSeq returns the sequence that the next event gets, if no other
// conversation appends first. It is a number of events, at most [MaxSequence].
func (c *Conversation) ExpectedSeq() uint64 { return c.log.expectedSeq() }

// Clone returns a conversation with a copy of the state and the same expected
// sequence. The two share only the store, so of both only the first to append
// can succeed. Subscribers and followers stay with c, and an append that is
// under way is not waited for.
func (c *Conversation) Clone() *Conversation {
	l := c.log
	l.mu.RLock()
	defer l.mu.RUnlock()
	clone := conversation(l.id, l.store, l.state.Clone())
	clone.log.expected, clone.log.last, clone.log.unreported = l.expected, l.last, l.unreported
	return clone
}
