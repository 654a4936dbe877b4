package core

import (
	"slices"
	"sync"
)

// Change says what a commit or a refresh has changed.
type Change struct {
	// Messages are the ids of the messages that events were about, each once,
	// in the order of the log.
	Messages []string
	// Events are what was appended, in the order of the log. Those of this
	// conversation's own appends have no timestamp.
	Events []LoggedEvent
	// Reset says that the log was deleted: everything is to be read anew.
	Reset bool
}

// Subscribe makes the conversation call fn after every commit and refresh that
// changed something, in the order of the log. A refresh of more than 8192
// events tells them in several changes. When fn is called the state has the
// change, and the call which caused it has not yet returned. fn may query
// state and position, subscribe and unsubscribe, but must not call methods that
// take a context: they would wait for fn. fn must not modify the change, which
// other subscribers get too. A call of fn that is under way when unsubscribe is
// called may outlast it; unsubscribing twice does no harm.
func (c *Conversation) Subscribe(fn func(Change)) (unsubscribe func()) {
	return c.subscribers.add(&subscriber{fn})
}

// subscriber has an identity, which a function has not.
type subscriber struct{ fn func(Change) }

// subscribers is a list of them. The zero value is empty.
type subscribers struct {
	mu   sync.Mutex
	list []*subscriber // only appended to, or replaced: tell reads it unlocked
}

func (s *subscribers) add(one *subscriber) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, one)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = slices.DeleteFunc(slices.Clone(s.list), func(other *subscriber) bool { return other == one })
	}
}

func (s *subscribers) all() []*subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

func (s *subscribers) tell(reset bool, events []LoggedEvent) {
	list := s.all()
	if len(list) == 0 {
		return
	}
	change := Change{Reset: reset, Events: events}
	told := make(map[string]struct{}, 1)
	for i := range events {
		id := events[i].Event.MessageID
		if _, ok := told[id]; !ok {
			told[id] = struct{}{}
			change.Messages = append(change.Messages, id)
		}
	}
	for _, one := range list {
		// It may have been removed meanwhile, perhaps by the one before it.
		if slices.Contains(s.all(), one) {
			one.fn(change)
		}
	}
}
