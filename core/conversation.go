package core

import (
	"context"
	"sync"

	"github.com/holdfast-dev/holdfast/internal/later"
)

// Conversation is a durable conversation: a log of events in a [DurableStore],
// the [State] that follows from it, and the position behind its last known
// event, where the next one is to be appended. Make one with [New] or [Recover].
//
// It is safe for concurrent use. Appends and refreshes happen one at a time;
// a call that has to wait for its turn gives up when its context ends. Events
// recorded while an append is under way are then appended together, all or
// none, in the order of the calls: a failure is the failure of all of them. State
// and position change only once the store has committed: an append that fails
// leaves both as they were. Several conversations may have the same id, also
// in other tabs: all but one of those which append at the same time get a
// [*SequenceConflictError], which is never retried here, because only the
// caller can decide anew after a [Conversation.Refresh]. [Conversation.Update]
// is given how to decide, and does that itself; what is built on it says so.
//
// Errors are those of the store and of [EncodeEvent]; [Code.Outcome] tells
// whether something was written. If the store cannot tell what became of an
// append, the conversation settles it by reading back, and
// [ErrOutcomeUnknown] remains only where that could not be done.
type Conversation struct {
	id    string
	store DurableStore
	state *State

	turn  chan struct{} // holds a token while somebody appends or refreshes
	queue queue

	mu       sync.RWMutex // guards the following, and makes them change together with state
	expected uint64
	last     seen
	chain    chain

	subscribers subscribers
	snapshots   snapshots
}

// seen is what the conversation saw at the sequence before the expected one;
// zero while it has seen nothing.
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
	c.snapshots.timer = later.New(snapshotWaits, func() { _ = c.SaveSnapshot(context.Background()) })
	return c
}

// ID returns the conversation's id, which is the name of its stream.
func (c *Conversation) ID() string { return c.id }

// Store returns the store of the conversation.
func (c *Conversation) Store() DurableStore { return c.store }

// State returns the live state: its queries always answer as of the last commit
// or refresh. It stays the same object for the life of the conversation. Only
// the conversation may apply events to it; [State.Clone] gives one to play with.
func (c *Conversation) State() *State { return c.state }

// ExpectedSeq returns the sequence that the next event gets, if nobody else
// appends first. It is a number of events, at most [MaxSequence].
func (c *Conversation) ExpectedSeq() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.expected
}

// Clone returns a conversation with a copy of the state and of the position.
// The two share nothing but the store, so of both only the first to append can
// succeed. Subscribers and followers stay with c. Clone does not wait for an
// append that is under way.
func (c *Conversation) Clone() *Conversation {
	c.mu.RLock()
	defer c.mu.RUnlock()
	clone := conversation(c.id, c.store, c.state.Clone())
	clone.expected, clone.last = c.expected, c.last
	return clone
}

// fail turns an error into that of the exported operation op. The operation is
// named once: an [Error] gets the new one in place of its own. All that callers
// look for with errors.Is and errors.As stays in the chain.
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
