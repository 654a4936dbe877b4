package core

import (
	"context"
	"iter"
	"slices"
)

// The messages of a conversation are a tree, or several: each follows one that was
// received before it, or none. Those that follow the same one are siblings. Who
// never says what a message follows has a list.

// lineage is where a message belongs in the tree, and since when it may no longer
// look back at what has changed.
type lineage struct {
	// back is how many places before the message the one stands that it follows, in
	// order of arrival; 0 if it follows none.
	back uint32
	// began is how many messages had begun to be processed once this one had, with
	// it; 0 if it never has. changed is how many had when the last event was about it:
	// what has changed since another one began is known by that.
	began, changed uint32
	// noted is how many notes there were when it began.
	noted uint32
}

// backFrom returns how far before m the message stands that m follows, by the event
// that m was received with. One that is not there counts as none.
func (s *State) backFrom(m *kept, e *Event) uint32 {
	if !e.Branch {
		return uint32(min(m.Position, 1))
	}
	if after := s.messages[e.After]; after != nil && after.Received {
		return uint32(m.Position - after.Position)
	}
	return 0
}

// follows returns the message that m follows; nil if it follows none. The caller
// holds the lock, as for all below that are not exported.
func (s *State) follows(m *kept) *kept {
	if m.back == 0 {
		return nil
	}
	return s.order[m.Position-int(m.back)]
}

func (s *State) view(m *kept) Message {
	c := m.copy()
	if after := s.follows(m); after != nil {
		c.After = after.ID
	}
	return c
}

// line returns m after those that it follows, the first one first.
func (s *State) line(m *kept) (line []*kept) {
	for ; m != nil; m = s.follows(m) {
		line = append(line, m)
	}
	slices.Reverse(line)
	return line
}

// newest returns the one received last of m and all that follow it, directly or not.
func (s *State) newest(m *kept) *kept {
	newest, follows := m, make([]bool, len(s.order)-m.Position)
	follows[0] = true
	for i, other := range s.order[m.Position+1:] {
		if at := i + 1 - int(other.back); other.back > 0 && at >= 0 && follows[at] {
			newest, follows[i+1] = other, true
		}
	}
	return newest
}

// Messages iterates over the branch of the message received last, from the first
// message on. Which ones are in it is settled when the loop begins; each is as the
// log has it when its turn comes. The loop's body may use the state.
func (s *State) Messages() iter.Seq[Message] {
	return s.each(func() []*kept {
		if len(s.order) == 0 {
			return nil
		}
		return s.line(s.order[len(s.order)-1])
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
		return s.line(s.newest(m))
	})
}

// Siblings iterates like [State.Messages], over the messages that follow the same
// one as a message, with it, in order of arrival.
func (s *State) Siblings(id string) iter.Seq[Message] {
	return s.each(func() (siblings []*kept) {
		m := s.messages[id]
		if m == nil || !m.Received {
			return nil
		}
		for after, others := s.follows(m), s.order; len(others) > 0; others = others[1:] {
			if s.follows(others[0]) == after {
				siblings = append(siblings, others[0])
			}
		}
		return siblings
	})
}

func (s *State) each(which func() []*kept) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		s.mu.RLock()
		list := which()
		s.mu.RUnlock()
		for _, m := range list {
			s.mu.RLock()
			message := s.view(m)
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
	if m == nil || !m.Received {
		return nil, true
	}
	line := s.line(m)
	line = line[:len(line)-1]
	for _, before := range line {
		if m.began > 0 && before.changed >= m.began {
			return nil, false
		}
	}
	for _, before := range line {
		history = append(history, s.view(before))
	}
	return history, true
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
