package core

import (
	"context"
	"iter"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Messages iterates over the branch of the message received last, from the first
// message on. Which ones are in it is settled when the loop begins; each is as the
// log has it when its turn comes. The loop's body may use the state.
func (s *State) Messages() iter.Seq[Message] {
	return s.each(func(order tree) []*kept {
		if len(order) == 0 {
			return nil
		}
		return order.line(order[len(order)-1])
	})
}

// Received iterates like [State.Messages], over all received messages, in order of
// arrival.
func (s *State) Received() iter.Seq[Message] {
	return s.each(func(order tree) []*kept { return order })
}

// Branch iterates like [State.Messages], over the branch through a message: what it
// follows, the message, and of what follows it the branch of the one received last.
// There is none of a message that was not received.
func (s *State) Branch(id string) iter.Seq[Message] {
	return s.each(func(order tree) []*kept {
		m := s.messages[id]
		if m == nil || !m.Received {
			return nil
		}
		return order.line(order.newest(m))
	})
}

// Siblings iterates like [State.Messages], over the messages that follow the same
// one as a message, with it, in order of arrival.
func (s *State) Siblings(id string) iter.Seq[Message] {
	return s.each(func(order tree) []*kept {
		m := s.messages[id]
		if m == nil || !m.Received {
			return nil
		}
		return order.siblings(m)
	})
}

func (s *State) each(which func(order tree) []*kept) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		s.mu.RLock()
		order := s.order // a reset begins another one
		list := which(order)
		s.mu.RUnlock()
		for _, m := range list {
			s.mu.RLock()
			message := order.view(m)
			s.mu.RUnlock()
			if !yield(message) {
				return
			}
		}
	}
}

// History returns the messages that a message follows, the first one first, as they
// were when the message first began to be processed; as they are if it never has.
// If one has changed since, they are not known as they were, but
// [Conversation.History] finds them in the log.
func (s *State) History(id string) (history []Message, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	line, known := s.history(id)
	for _, before := range line {
		history = append(history, s.order.view(before))
	}
	return history, known
}

func (s *State) history(id string) (line []*kept, known bool) {
	m := s.messages[id]
	if m == nil || !m.Received {
		return nil, true
	}
	line = s.order.line(m)
	line = line[:len(line)-1]
	for _, before := range line {
		if m.began > 0 && before.changed >= m.began {
			return nil, false
		}
	}
	return line, true
}

// NotesAtStart returns the notes of a type that there were when a message first
// began to be processed; those that there are if it never has.
func (s *State) NotesAtStart(id, kind string) []Note {
	s.mu.RLock()
	defer s.mu.RUnlock()
	notes := s.notes
	if m := s.messages[id]; m != nil && m.began > 0 {
		notes.list = notes.list[:m.noted]
	}
	return notes.of(kind)
}

// History is [State.History], also where that has to be read from the log. Errors
// are those of [Recover].
func (c *Conversation) History(ctx context.Context, messageID string) ([]Message, error) {
	if history, known := c.State().History(messageID); known {
		return history, nil
	}
	s, err := c.atStart(ctx, messageID)
	if err != nil {
		return nil, err
	}
	history, _ := s.History(messageID)
	return history, nil
}

// HistoryRows returns the rows of the messages of [Conversation.History], see
// [State.Rows], each of which follows the one before it; nil if the state has
// them as they were.
func (c *Conversation) HistoryRows(ctx context.Context, messageID string) ([]byte, error) {
	s := c.State()
	s.mu.RLock()
	_, known := s.history(messageID)
	s.mu.RUnlock()
	if known {
		return nil, nil
	}
	s, err := c.atStart(ctx, messageID)
	if err != nil {
		return nil, err
	}
	line, _ := s.history(messageID)
	w := wire.NewWriter(nil)
	for i, m := range line {
		one := m.clone()
		one.back, one.row = uint32(min(i, 1)), nil
		writeRow(w, one, nil)
	}
	return w.End(), nil
}

// atStart reads the log up to where a message has first begun to be processed, and
// returns the state there, which nobody else has.
func (c *Conversation) atStart(ctx context.Context, messageID string) (*State, error) {
	const op = "read history"
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	s := NewState()
	for next := uint64(0); ; {
		entries, end, err := c.log.part(ctx, next, readBatch)
		if err != nil {
			return nil, c.log.fail(op, err)
		}
		events, err := decodeEntries(nil, entries, next)
		if err != nil {
			return nil, c.log.fail(op, err)
		}
		for i := range events {
			if events[i].Tombstone {
				s = NewState()
				continue
			}
			s.take(&events[i])
			if e := &events[i].Event; e.Kind == KindProcessingStarted && e.MessageID == messageID {
				return s, nil
			}
		}
		if end {
			return nil, &Error{Code: ErrCancelled, Op: op, Stream: c.log.id, Detail: "the conversation was deleted"}
		}
		next = events[len(events)-1].Sequence + 1
	}
}
