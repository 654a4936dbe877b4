package core

import (
	"context"
	"sync"
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
	id    string
	store DurableStore
	state *State

	turn  chan struct{} // holds a token during an append or a refresh
	queue queue

	// mu guards these, and makes them change together with state.
	mu       sync.RWMutex
	expected uint64
	last     seen
	// unreported: a follower has read the log to its end, and no caller could
	// be told yet whether more was there.
	unreported bool

	subscribers subscribers
	companion   atomic.Pointer[companion]
	snapshots   snapshots
}

// seen is the entry that the conversation saw at the sequence before the
// expected one; zero if it has seen none.
type seen struct {
	tombstone bool
	id        EventID
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
	c := &Conversation{id: id, store: store, state: state, turn: make(chan struct{}, 1)}
	c.snapshots.timer = later.New(func() { _ = c.SaveSnapshot(context.Background()) })
	return c
}

// ID returns the conversation's id, which is the name of its stream.
func (c *Conversation) ID() string { return c.id }

// Store returns the store of the conversation.
func (c *Conversation) Store() DurableStore { return c.store }

// State returns the live state: its queries always answer as of the last commit
// or refresh. It stays the same object for the life of the conversation. Only
// the conversation may apply events to it, others to a [State.Clone].
func (c *Conversation) State() *State { return c.state }

// ExpectedSeq returns the sequence that the next event gets, if no other
// conversation appends first. It is a number of events, at most [MaxSequence].
func (c *Conversation) ExpectedSeq() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.expected
}

// Clone returns a conversation with a copy of the state and the same expected
// sequence. The two share only the store, so of both only the first to append
// can succeed. Subscribers and followers stay with c, and an append that is
// under way is not waited for.
func (c *Conversation) Clone() *Conversation {
	c.mu.RLock()
	defer c.mu.RUnlock()
	clone := conversation(c.id, c.store, c.state.Clone())
	clone.expected, clone.last, clone.unreported = c.expected, c.last, c.unreported
	return clone
}

// fail makes err an error of the exported operation op, which replaces the
// operation of an [Error]. What errors.Is and errors.As find stays the same.
func (c *Conversation) fail(op string, err error) error {
	switch e := err.(type) {
	case *SequenceConflictError:
		return e
	case *Error:
		renamed := *e
		renamed.Op, renamed.Stream = op, c.id
		return &renamed
	case Code:
		return &Error{Code: e, Op: op, Stream: c.id}
	default:
		return &Error{Code: CodeOf(err), Op: op, Stream: c.id, Err: err}
	}
}
