package core

import (
	"bytes"
	"context"
	"fmt"
	"maps"
)

// Send appends a message, and reports whether it did: an id that was received
// before is not appended again. Conflicts are retried. receivedAt is in
// milliseconds since the Unix epoch, at most [MaxSequence]; the body is copied.
func (c *Conversation) Send(ctx context.Context, messageID string, receivedAt uint64, body []byte) (sent bool, err error) {
	return c.SendWith(ctx, messageID, receivedAt, body, SendOptions{})
}

// SendOptions say where a message belongs, and what happens with it.
type SendOptions struct {
	// After is the id of the received message that this one follows; by default it is
	// the one received last. First says that it follows none.
	After string
	First bool
	// Interrupt cancels all messages that are [Message.Pending], in the same append;
	// none if the message is known already.
	Interrupt bool
	// IfExists sends only to a conversation that is there: its log has events, and was
	// not deleted after them. Otherwise the error is [ErrCancelled].
	IfExists bool
}

// mustExist returns [ErrCancelled] if a call is only for a conversation that is there,
// and this one is not.
func (c *Conversation) mustExist(op string, only bool) error {
	if only && c.log.isEmpty() {
		return &Error{Code: ErrCancelled, Op: op, Stream: c.log.id,
			Detail: "the conversation was deleted, or was never begun; leave out that condition to begin it"}
	}
	return nil
}

// SendWith is [Conversation.Send] with options. [ErrInvalidArgument] for an After
// that was not received, and together with First. With an error nothing is appended.
func (c *Conversation) SendWith(ctx context.Context, messageID string, receivedAt uint64, body []byte, o SendOptions) (sent bool, err error) {
	received := Event{Kind: KindMessageReceived, MessageID: messageID, ReceivedAt: receivedAt, Body: body, After: o.After, Branch: o.First || o.After != ""}
	err = c.update(ctx, "send", func(s *State) (events []Event, err error) {
		sent = false
		if err := c.mustExist("send", o.IfExists); err != nil {
			return nil, err
		}
		switch {
		case s.IsReceived(messageID):
			return nil, nil
		case o.First && o.After != "":
			return nil, &Error{Code: ErrInvalidArgument, Op: "send", Stream: c.log.id, Detail: "a first message follows none; leave out First or After"}
		case o.After != "" && !s.IsReceived(o.After):
			return nil, &Error{Code: ErrInvalidArgument, Op: "send", Stream: c.log.id,
				Detail: fmt.Sprintf("no message %q was received that this one could follow", o.After)}
		}
		sent = true
		if o.Interrupt {
			for _, id := range s.pendingIDs() {
				events = append(events, Event{Kind: KindMessageCancelled, MessageID: id})
			}
		}
		return append(append(events, received), c.withSend(s, messageID)...), nil
	})
	return sent && err == nil, err
}

// WithSend has Send append what events returns for a message that is new, together
// with the message, until stop is called. State is that before the message. Events
// is called in the turn of the conversation, perhaps more than once, and must do
// nothing but look at the state and take note. One at a time can be set: a later
// one takes the place of an earlier one.
func (c *Conversation) WithSend(events func(state *State, messageID string) []Event) (stop func()) {
	one := &companion{events}
	c.companion.Store(one)
	return func() { c.companion.CompareAndSwap(one, nil) }
}

// companion has an identity, which a function has not.
type companion struct {
	events func(*State, string) []Event
}

func (c *Conversation) withSend(s *State, messageID string) []Event {
	if one := c.companion.Load(); one != nil {
		return one.events(s, messageID)
	}
	return nil
}

// Cancel appends that a message is not to be processed any further, and reports
// whether it is cancelled: one that has finished or failed is not. Conflicts
// are retried. [ErrInvalidArgument] if the message was never received.
func (c *Conversation) Cancel(ctx context.Context, messageID string) (cancelled bool, err error) {
	err = c.updateMessage(ctx, "cancel", messageID, func(m *Message) ([]Event, error) {
		cancelled = m.Cancelled || m.Pending()
		if !m.Pending() {
			return nil, nil
		}
		return []Event{{Kind: KindMessageCancelled, MessageID: messageID}}, nil
	})
	return cancelled && err == nil, err
}

// ResolveStep decides whether an uncertain step is to run again or counts as
// completed without output, and reports whether the step was uncertain. To run
// it again takes the doubt away and does nothing else, whether a runner is at
// work or not: the next call of its function is not an uncertain one. Conflicts
// are retried. [ErrInvalidArgument] if the message was never received.
func (c *Conversation) ResolveStep(ctx context.Context, messageID string, index uint32, rerun bool) (resolved bool, err error) {
	err = c.updateMessage(ctx, "resolve step", messageID, func(m *Message) ([]Event, error) {
		step, _ := m.OpenStep(index)
		resolved = step.Uncertain
		switch {
		case !resolved:
			return nil, nil
		case rerun:
			return []Event{{Kind: KindStepResolved, MessageID: messageID, Step: index}}, nil
		default:
			return []Event{{Kind: KindStepCompleted, MessageID: messageID, Step: index, Name: step.Name}}, nil
		}
	})
	return resolved && err == nil, err
}

// Answer completes a step that waits for an answer, and reports whether it did:
// a step that does not wait, or no longer does, is not changed. Conflicts are
// retried. The answer is copied. [ErrInvalidArgument] if the message was never
// received.
func (c *Conversation) Answer(ctx context.Context, messageID string, index uint32, answer []byte) (answered bool, err error) {
	err = c.updateMessage(ctx, "answer", messageID, func(m *Message) ([]Event, error) {
		step, _ := m.OpenStep(index)
		if answered = step.Waiting && !step.Sleep; !answered {
			return nil, nil
		}
		return []Event{{Kind: KindStepCompleted, MessageID: messageID, Step: index, Name: step.Name, Output: answer}}, nil
	})
	return answered && err == nil, err
}

// Note appends a note, and reports whether it did: one whose type and id are known
// is not appended again. Conflicts are retried. The data are copied.
func (c *Conversation) Note(ctx context.Context, note Note) (added bool, err error) {
	return c.NoteWith(ctx, note, NoteOptions{})
}

// NoteOptions say when not to append a note.
type NoteOptions struct {
	// IfExists is as in [SendOptions].
	IfExists bool
	// IfLast is the id of the last note of the type, "" if there is to be none; nil
	// for any. After another one nothing is appended, and the error is
	// [ErrSequenceConflict]; the state has that one then.
	IfLast *string
}

// NoteWith is [Conversation.Note] with options.
func (c *Conversation) NoteWith(ctx context.Context, note Note, o NoteOptions) (added bool, err error) {
	const op = "note"
	err = c.update(ctx, op, func(s *State) ([]Event, error) {
		if err := c.mustExist(op, o.IfExists); err != nil {
			return nil, err
		}
		if added = !s.isNoted(note.name()); !added {
			return nil, nil
		}
		if found := s.lastNote(note.Type); o.IfLast != nil && found != *o.IfLast {
			return nil, &Error{Code: ErrSequenceConflict, Op: op, Stream: c.log.id,
				Detail: fmt.Sprintf("the last note of type %q is %q, not %q, where the empty id is none; look at the notes and decide again", note.Type, found, *o.IfLast)}
		}
		return []Event{{Kind: KindNote, MessageID: note.ID, ReceivedAt: note.At, Name: note.Type, Output: note.Data}}, nil
	})
	return added && err == nil, err
}

// SetMetadata sets the keys of patch to its values, and removes those whose value is
// nil: all or none. A key that has that value already is left alone. Conflicts are
// retried; of two values of one key the later one counts. The values are copied.
//
// [ErrTooLarge] if the metadata would have more than [MaxMetadataBytes] then.
func (c *Conversation) SetMetadata(ctx context.Context, patch map[string][]byte) error {
	return c.SetMetadataWith(ctx, patch, MetadataOptions{})
}

// MetadataOptions say when not to set metadata.
type MetadataOptions struct {
	// IfExists is as in [SendOptions].
	IfExists bool
}

// SetMetadataWith is [Conversation.SetMetadata] with options.
func (c *Conversation) SetMetadataWith(ctx context.Context, patch map[string][]byte, o MetadataOptions) error {
	const op = "set metadata"
	for key := range patch {
		if err := CheckName(op, key); err != nil {
			return err
		}
	}
	return c.update(ctx, op, func(s *State) ([]Event, error) {
		if err := c.mustExist(op, o.IfExists); err != nil {
			return nil, err
		}
		events, size := changes(s.Metadata(), patch)
		if size > MaxMetadataBytes {
			return nil, &Error{Code: ErrTooLarge, Op: op, Stream: c.log.id,
				Detail: fmt.Sprintf("the metadata would have %d bytes, the limit is %d; remove keys, or store large data as notes", size, MaxMetadataBytes)}
		}
		return events, nil
	})
}

// changes returns the events that make metadata what a patch says, and how many
// bytes they have then. What shrinks them comes first, so that no event passes the
// limit before others make room.
func changes(m Metadata, patch map[string][]byte) (events []Event, size int) {
	before := maps.Collect(m.All())
	for key, value := range before {
		size += len(key) + len(value)
	}
	var growing []Event
	for key, value := range patch {
		kept, known := before[key]
		if known == (value != nil) && bytes.Equal(kept, value) {
			continue
		}
		growth := len(value) - len(kept)
		switch {
		case !known:
			growth += len(key)
		case value == nil:
			growth -= len(key)
		}
		size += growth
		e := Event{Kind: KindMetadata, MessageID: key, Output: value}
		if growth > 0 {
			growing = append(growing, e)
		} else {
			events = append(events, e)
		}
	}
	return append(events, growing...), size
}

// updateMessage appends what decide returns for a received message.
func (c *Conversation) updateMessage(ctx context.Context, op, messageID string, decide func(*Message) ([]Event, error)) error {
	return c.update(ctx, op, func(s *State) ([]Event, error) {
		m, _ := s.Message(messageID)
		if !m.Received {
			return nil, &Error{Code: ErrInvalidArgument, Op: op, Stream: c.log.id,
				Detail: fmt.Sprintf("no message %q was received; refresh, or send it", messageID)}
		}
		return decide(&m)
	})
}
