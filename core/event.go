package core

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
)

// Event is one entry of a conversation's log. It is one flat struct, passed by
// value, so that a replay allocates nothing per event; a field which its kind
// does not have is zero, and is not stored. An event never contains its
// sequence: that is its place in the log.
type Event struct {
	Kind Kind
	ID   EventID
	// MessageID is the message that the event is about; of KindNote it is the id
	// of the note, and of KindMetadata the key. It is subject to [CheckName].
	MessageID string

	// ReceivedAt is when the message was received or the note was made, in
	// milliseconds since the Unix epoch by the caller's clock, at most
	// [MaxSequence]. KindMessageReceived and KindNote have it.
	ReceivedAt uint64
	// Body is the message itself, opaque; nil if the log does not carry it,
	// which is not the same as an empty one. Only KindMessageReceived has it.
	Body []byte

	// After is the id of the message that this one follows, if Branch says so; ""
	// for none. Without Branch it follows the message that was received before it.
	// Only KindMessageReceived has them.
	After  string
	Branch bool

	// Runner is the runner that makes the attempt; zero if it was recorded
	// without one. Only KindProcessingStarted has it.
	Runner RunnerID
	// Resumed says that the runner goes on with the attempt that it has parked, so
	// what that has begun is in no doubt. Only KindProcessingStarted with a runner
	// has it.
	Resumed bool

	// Step is the index of the step, from 0. The kinds of steps have it.
	Step uint32
	// Name is the name of the step, subject to [CheckName]; it may be empty for
	// KindStepCompleted. The kinds of steps have it, and KindNote as its type.
	Name string
	// Offset is how many bytes the step had streamed before these, at most
	// [MaxSequence]; with 0 a new run of the step begins. Only KindStepStreamed
	// has it.
	Offset uint64
	// Output is opaque: what a step returned or streamed, or the result of a
	// finished message, or the prompt of a wait, or the data of a note, or the value
	// of a key, where nil removes the key. Nil and empty are stored alike for
	// KindStepCompleted and KindStepStreamed; for KindStepWaiting,
	// KindProcessingFinished, KindNote and KindMetadata nil is none.
	Output []byte

	// Place is where the step was called. The first event of a step has it, unless
	// the step was recorded by its index alone; later ones need not.
	Place Place

	// Failure is what the step failed with. KindStepFailed and KindAttemptFailed
	// have it.
	Failure Failure
	// Attempt is the number of the call of the step's function that has failed,
	// from 1. KindAttemptFailed has it, and KindStepFailed as that of the last
	// one.
	Attempt uint32
	// Terminal says that the step has certainly done nothing. Only KindStepFailed
	// has it.
	Terminal bool
	// Due is when something happens by itself, in milliseconds since the Unix
	// epoch, at most [MaxSequence]; 0 for never. KindAttemptFailed: the next call.
	// KindStepWaiting: the end of the wait. KindProcessingStopped: processing goes
	// on.
	Due uint64
	// Sleep says that a wait completes when it is due; otherwise it then fails.
	// Only KindStepWaiting has it.
	Sleep bool
	// Pass says that later messages may be processed while this one waits.
	// KindStepWaiting and, of a parked message, KindProcessingStopped have it.
	Pass bool
	// Parked says that processing stopped because all that is under way waits. Only
	// KindProcessingStopped has it.
	Parked bool

	// Error is what went wrong, in valid UTF-8. Only KindErrorOccurred has it.
	Error string
	// Steps are indexes of steps, in ascending order. KindErrorOccurred: those
	// whose failures the error is made of. KindMessageRetried: those that are
	// forgotten.
	Steps []uint32
	// Doubted are those of Steps whose outcome alone is forgotten: they are
	// uncertain from then on. Only KindMessageRetried has it.
	Doubted []uint32
	// Reseed says that a completed step was forgotten, so that idempotency keys
	// change. Only KindMessageRetried has it.
	Reseed bool
}

// LoggedEvent is an event and its place in the log.
type LoggedEvent struct {
	Sequence uint64
	// Timestamp is when the store took it, in milliseconds since the Unix
	// epoch; informative, not ordered.
	Timestamp int64
	// Tombstone marks where the log was deleted: the events before it are
	// gone, and Event is zero.
	Tombstone bool
	noted     bool // it has added a note to a state
	Event     Event

	ended Step // by it, in a state; without details if it has ended none
}

// Kind says what an event states, mostly about its message. The numbers are stored
// and never change their meaning.
type Kind uint8

// The kinds of events.
const (
	// KindMessageReceived: the message entered the conversation.
	KindMessageReceived Kind = 1
	// KindProcessingStarted: an attempt to process the message began.
	KindProcessingStarted Kind = 2
	// KindStepCompleted: a step of the processing succeeded with an output.
	KindStepCompleted Kind = 3
	// KindProcessingFinished: the message is done.
	KindProcessingFinished Kind = 4
	// KindErrorOccurred: the processing failed.
	KindErrorOccurred Kind = 5
	// KindStepStarted: a step with side effects is about to run.
	KindStepStarted Kind = 6
	// KindStepStreamed: a step that runs has partial output.
	KindStepStreamed Kind = 7
	// KindMessageCancelled: the message is not to be processed any further.
	KindMessageCancelled Kind = 8
	// KindMessageRetried: a failed or cancelled message is pending again.
	KindMessageRetried Kind = 9
	// KindProcessingStopped: the runner has let go of the message on purpose.
	KindProcessingStopped Kind = 10
	// KindStepFailed: a step has failed for good.
	KindStepFailed Kind = 11
	// KindAttemptFailed: a call of a step's function has failed, and the step has
	// not.
	KindAttemptFailed Kind = 12
	// KindStepWaiting: a step waits for an answer or for a time.
	KindStepWaiting Kind = 13
	// KindStepResolved: an uncertain step is to run again.
	KindStepResolved Kind = 14
	// KindNote: the application has noted something, which is never processed.
	KindNote Kind = 15
	// KindMetadata: a key of the conversation has a value, or none any more.
	KindMetadata Kind = 16
)

var kindNames = [...]string{
	KindMessageReceived:    "message_received",
	KindProcessingStarted:  "processing_started",
	KindStepCompleted:      "step_completed",
	KindProcessingFinished: "processing_finished",
	KindErrorOccurred:      "error_occurred",
	KindStepStarted:        "step_started",
	KindStepStreamed:       "step_streamed",
	KindMessageCancelled:   "message_cancelled",
	KindMessageRetried:     "message_retried",
	KindProcessingStopped:  "processing_stopped",
	KindStepFailed:         "step_failed",
	KindAttemptFailed:      "attempt_failed",
	KindStepWaiting:        "step_waiting",
	KindStepResolved:       "step_resolved",
	KindNote:               "note",
	KindMetadata:           "metadata_set",
}

// String returns the name of the kind, such as "message_received".
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ofConversation reports whether an event of this kind is about no message.
func (k Kind) ofConversation() bool { return k == KindNote || k == KindMetadata }

// EventID identifies an event: 16 random bytes. It finds an event whose append
// had an unknown outcome, and it stays the same should the event ever get
// another sequence elsewhere.
type EventID [16]byte

// newEventID returns a random id. The top-level functions of math/rand/v2 are
// ChaCha8, seeded by the operating system: ids need to be unique, not secret,
// and crypto/rand would cost 60 KB of compressed WebAssembly.
func newEventID() EventID {
	var id EventID
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// RunnerID identifies a runner: 16 random bytes, new each time a runner begins.
// The zero value is none.
type RunnerID [16]byte

// NewRunnerID returns a random id.
func NewRunnerID() RunnerID { return RunnerID(newEventID()) }
