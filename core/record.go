package core

import (
	"context"
	"math"
	"strings"
)

// Recorded is the outcome of recording an event.
type Recorded struct {
	Sequence uint64 // its place in the log, unless Err is set
	Err      error
}

// RecordMessageReceived appends that a message was received, whether or not it
// was before, and returns the assigned sequence. receivedAt is in milliseconds
// since the Unix epoch, at most [MaxSequence]. A nil body keeps the message
// itself out of the log, any other is copied.
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

// RecordAll appends events in order and returns the outcome of each, as if each
// were recorded by a call of its own that waits for no other. Events wait while
// an append is under way, and are then appended as one group. They get their ids
// here; bodies and outputs are copied.
func (c *Conversation) RecordAll(ctx context.Context, events []Event) []Recorded {
	settled := make(chan []Recorded, 1)
	c.begin(ctx, events, func(all []Recorded) { settled <- all })
	return <-settled
}

// BeginRecord appends an event like the Record methods, but does not wait. It
// calls settled once, when the Record method would have returned, perhaps before
// BeginRecord returns. Settled is subject to what [Conversation.Subscribe] says of
// a subscriber; those of two events may be called at the same time, and in any
// order.
func (c *Conversation) BeginRecord(event Event, settled func(Recorded)) {
	c.begin(context.Background(), []Event{event}, func(all []Recorded) { settled(all[0]) })
}

func (c *Conversation) begin(ctx context.Context, events []Event, settled func([]Recorded)) {
	within, letGo := withDeadline(context.Background(), c.log.store)
	ctx, cancel := withDeadline(ctx, c.log.store)
	all := make([]entry, len(events))
	entries := make([]*entry, 0, len(events))
	for i, event := range events {
		e := &all[i]
		if e.err = ctx.Err(); e.err == nil {
			e.err = e.begin(event)
		}
		if e.err == nil {
			entries = append(entries, e)
		}
	}
	over := func() {
		cancel()
		letGo()
		recorded := make([]Recorded, len(all))
		for i := range all {
			recorded[i] = c.recorded(recordOp(events[i].Kind), &all[i])
		}
		settled(recorded)
	}
	if len(entries) == 0 {
		over()
		return
	}
	c.writer.submit(ctx, within, entries, over)
}

// recorded is the outcome of an entry of the operation op.
func (c *Conversation) recorded(op string, e *entry) Recorded {
	if e.err != nil {
		return Recorded{Err: c.log.fail(op, e.err)}
	}
	return Recorded{Sequence: e.sequence}
}

// record appends one event.
func (c *Conversation) record(ctx context.Context, event Event) (uint64, error) {
	r := c.RecordAll(ctx, []Event{event})[0]
	return r.Sequence, r.Err
}

// recordOp names the operation, such as "record step completed".
func recordOp(kind Kind) string {
	if kind == KindErrorOccurred {
		return "record error"
	}
	return "record " + strings.ReplaceAll(kind.String(), "_", " ")
}

// Decision says what to do with a delivered message.
type Decision struct {
	Kind DecisionKind
	Step uint32 // where to resume; 0 unless Kind is ResumeFrom
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

// ReceiveMessage decides what to do with a delivery of a message. A fully
// processed or cancelled one is to be skipped; one that was received before,
// even if it failed, resumes at the step after the last completed one. In both
// cases nothing is appended, and receivedAt and body are ignored.
//
// A new message is appended as [Conversation.RecordMessageReceived] does, and
// starts. Of concurrent deliveries of one message one starts, the others
// resume. [ErrOutOfRange] if the last completed step is the highest possible,
// 2^32-1.
func (c *Conversation) ReceiveMessage(ctx context.Context, messageID string, receivedAt uint64, body []byte) (Decision, error) {
	const op = "receive message"
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	if err := c.writer.acquire(ctx); err != nil {
		return Decision{}, c.log.fail(op, err)
	}
	defer c.writer.release()
	m, _ := c.log.state.withoutSteps(messageID)
	if m.Finished || m.Cancelled {
		return Decision{Kind: Skip}, nil
	}
	if m.Received {
		last, some := c.log.state.LastCompletedStep(messageID)
		switch {
		case !some:
			return Decision{Kind: ResumeFrom}, nil
		case last == math.MaxUint32:
			return Decision{}, &Error{Code: ErrOutOfRange, Op: op, Stream: c.log.id, Detail: "there is no step after 2^32-1"}
		default:
			return Decision{Kind: ResumeFrom, Step: last + 1}, nil
		}
	}
	group, err := newEntries([]Event{{Kind: KindMessageReceived, MessageID: messageID, ReceivedAt: receivedAt, Body: body}})
	if err == nil {
		err = c.log.appendNow(ctx, group)
	}
	if err != nil {
		return Decision{}, c.log.fail(op, err)
	}
	return Decision{Kind: Start}, nil
}
