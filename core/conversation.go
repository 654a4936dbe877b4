package core

import (
	"context"
	"math"
	"sync"
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
	return &Conversation{id: id, store: store, state: state, turn: make(chan struct{}, 1)}
}

// ID returns the conversation's id, which is the name of its stream.
func (c *Conversation) ID() string { return c.id }

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

// DecisionKind is what to do with a delivered message.
type DecisionKind uint8

// The decisions. None is zero, so a forgotten error check decides nothing.
const (
	// Skip: the message is fully processed, or was cancelled.
	Skip DecisionKind = iota + 1
	// ResumeFrom: the message was received before; go on at [Decision.Step].
	ResumeFrom
	// Start: the message is new and now in the log; start at step 0.
	Start
)

// String returns "skip", "resume" or "start".
func (k DecisionKind) String() string {
	switch k {
	case Skip:
		return "skip"
	case ResumeFrom:
		return "resume"
	case Start:
		return "start"
	default:
		return "undecided"
	}
}

// Decision says what to do with a delivered message.
type Decision struct {
	Kind DecisionKind
	Step uint32 // where to resume; 0 unless Kind is ResumeFrom
}

// ReceiveMessage decides what to do with a delivery of a message. A fully
// processed one is to be skipped, and so is a cancelled one. One that was received before, even if it
// failed, resumes at the step after the last completed one. In both cases
// nothing is appended, and receivedAt and body are ignored. A new message is
// appended like [Conversation.RecordMessageReceived] does, and starts. Of
// concurrent deliveries of one message one starts, the others resume.
//
// [ErrOutOfRange] if the last completed step is the highest possible, 2^32-1.
func (c *Conversation) ReceiveMessage(ctx context.Context, messageID string, receivedAt uint64, body []byte) (Decision, error) {
	const op = "receive message"
	if err := c.acquire(ctx); err != nil {
		return Decision{}, c.fail(op, err)
	}
	defer c.release()
	m, _ := c.state.MessageWithoutSteps(messageID)
	if m.Finished || m.Cancelled {
		return Decision{Kind: Skip}, nil
	}
	if m.Received {
		last, some := c.state.LastCompletedStep(messageID)
		switch {
		case !some:
			return Decision{Kind: ResumeFrom}, nil
		case last == math.MaxUint32:
			return Decision{}, &Error{Code: ErrOutOfRange, Op: op, Stream: c.id, Detail: "there is no step after 2^32-1"}
		default:
			return Decision{Kind: ResumeFrom, Step: last + 1}, nil
		}
	}
	e, err := newEntry(Event{Kind: KindMessageReceived, MessageID: messageID, ReceivedAt: receivedAt, Body: body})
	if err != nil {
		return Decision{}, c.fail(op, err)
	}
	if c.append(ctx, []*entry{e}); e.err != nil {
		return Decision{}, c.fail(op, e.err)
	}
	return Decision{Kind: Start}, nil
}

// RecordMessageReceived appends that a message was received, whether or not it
// was before, and returns the assigned sequence. receivedAt is in milliseconds
// since the Unix epoch, at most [MaxSequence]. A nil body keeps the message
// itself out of the log. The body is copied.
func (c *Conversation) RecordMessageReceived(ctx context.Context, messageID string, receivedAt uint64, body []byte) (uint64, error) {
	return c.record(ctx, Event{Kind: KindMessageReceived, MessageID: messageID, ReceivedAt: receivedAt, Body: body})
}

// RecordProcessingStarted appends that processing of a message started, and
// returns the assigned sequence.
func (c *Conversation) RecordProcessingStarted(ctx context.Context, messageID string) (uint64, error) {
	return c.record(ctx, Event{Kind: KindProcessingStarted, MessageID: messageID})
}

// RecordStepCompleted appends that a step succeeded with an output, and returns
// the assigned sequence. Steps may be recorded in any order and again; the last
// output of an index counts. The output is copied.
func (c *Conversation) RecordStepCompleted(ctx context.Context, messageID string, step uint32, output []byte) (uint64, error) {
	return c.record(ctx, Event{Kind: KindStepCompleted, MessageID: messageID, Step: step, Output: output})
}

// RecordProcessingFinished appends that a message is done, and returns the
// assigned sequence.
func (c *Conversation) RecordProcessingFinished(ctx context.Context, messageID string) (uint64, error) {
	return c.record(ctx, Event{Kind: KindProcessingFinished, MessageID: messageID})
}

// RecordError appends that processing of a message failed, and returns the
// assigned sequence. text must be valid UTF-8.
func (c *Conversation) RecordError(ctx context.Context, messageID string, text string) (uint64, error) {
	return c.record(ctx, Event{Kind: KindErrorOccurred, MessageID: messageID, Error: text})
}
