package core

import (
	"context"
	"iter"
	"slices"
)

// Messages iterates over the branch of the message received last, from the first
// message on. Which ones are in it is settled when the loop begins; each is as the
// log has it when its turn comes. The loop's body may use the state.
func (s *State) Messages() iter.Seq[Message] {
	return s.each(func() []*kept {
		if len(s.order) == 0 {
			return nil
		}
		return s.order.line(s.order[len(s.order)-1])
	})
}

// Received iterates like [State.Messages], over all received messages, in order of
// arrival.
func (s *State) Received() iter.Seq[Message] {
	return s.each(func() []*kept { return s.order })
}

// Branch iterates like [State.Messages], over the branch through a message: what it
// follows, the message, and of what follows it the branch of the one received last.
// There is none of a message that was not received.
func (s *State) Branch(id string) iter.Seq[Message] {
	return s.each(func() []*kept {
		m := s.messages[id]
		if m == nil || !m.Received {
			return nil
		}
		return s.order.line(s.order.newest(m))
	})
}

// Siblings iterates like [State.Messages], over the messages that follow the same
// one as a message, with it, in order of arrival.
func (s *State) Siblings(id string) iter.Seq[Message] {
	return s.each(func() []*kept {
		m := s.messages[id]
		if m == nil || !m.Received {
			return nil
		}
		return s.order.siblings(m)
	})
}

func (s *State) each(which func() []*kept) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		s.mu.RLock()
		list := which()
		s.mu.RUnlock()
		for _, m := range list {
			s.mu.RLock()
			message := s.order.view(m)
			s.mu.RUnlock()
			if !yield(message) {
				return
			}
		}
	}
}

// History returns the messages that a message follows, the first one first, as they
// were when the message first began to be processed; as they are if it never has.
// One that has changed since is not known as it was: then known is false, and
// [Conversation.AtStart] finds it in the log.
func (s *State) History(id string) (history []Message, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil || !s.knows(m) {
		return nil, m == nil
	}
	for _, before := range s.order.line(m) {
		if before != m {
			history = append(history, s.order.view(before))
		}
	}
	return history, true
}

// KnowsHistory is what [State.History] returns, without the messages.
func (s *State) KnowsHistory(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	return m == nil || s.knows(m)
}

// knows reports whether no message that m follows has changed since m began. The
// caller holds the lock.
func (s *State) knows(m *kept) bool {
	for before := s.order.follows(m); m.began > 0 && before != nil; before = s.order.follows(before) {
		if before.changed >= m.began {
			return false
		}
	}
	return true
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

// AtStart reads the log up to where a message first began to be processed, and
// returns the state there. Errors are those of [Recover]; [ErrCancelled] if the log
// has no such start.
func (c *Conversation) AtStart(ctx context.Context, messageID string) (*State, error) {
	const op = "read history"
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	s := NewState()
	for next := uint64(0); ; {
		entries, err := c.log.store.ReadFrom(ctx, c.log.id, next, readBatch)
		if err != nil {
			return nil, c.log.fail(op, err)
		}
		for some := range slices.Chunk(entries, decodedAtOnce) {
			events, err := decodeEntries(nil, some, next)
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
			next = events[len(events)-1].Sequence + 1
		}
		if len(entries) < readBatch {
			return nil, &Error{Code: ErrCancelled, Op: op, Stream: c.log.id, Detail: "the conversation was deleted"}
		}
	}
}
