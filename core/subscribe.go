package core

import (
	"slices"
	"sync"
)

// Change says what a commit or a refresh has changed.
type Change struct {
	// Messages are the ids of the messages that events were about, each once,
	// in the order of the log; none for notes and metadata.
	Messages []string
	// Events are what was appended, in the order of the log.
	Events []LoggedEvent
	// Reset says that the log was deleted: read everything again.
	Reset bool
}

// Subscribe makes the conversation call fn after every commit and refresh that
// changed something, in the order of the log. A refresh of more than 8192
// events makes several changes. When fn is called the state has the change, and
// the call that caused it has not yet returned.
//
// fn may query state and expected sequence, subscribe and unsubscribe, but must
// not call methods that take a context: they would wait for fn. It must not
// modify the change, which other subscribers get too. A call of fn that is
// under way may outlast unsubscribe; unsubscribing twice does no harm.
func (c *Conversation) Subscribe(fn func(Change)) (unsubscribe func()) {
	return c.log.subscribers.add(&subscriber{fn})
}

// subscriber has an identity, which a function has not.
type subscriber struct{ fn func(Change) }

// subscribers is a list of subscribers. The zero value is empty.
type subscribers struct {
	mu   sync.Mutex
	list []*subscriber // only appended to, or replaced: notify reads it unlocked
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

// notify calls the subscribers with the change that events make.
func (s *subscribers) notify(reset bool, events []LoggedEvent) {
	list := s.all()
	if len(list) == 0 {
		return
	}
	change := Change{Reset: reset, Events: events}
	named := make(map[string]struct{}, 1)
	for i := range events {
		if events[i].Event.Kind.ofConversation() {
			continue
		}
		id := events[i].Event.MessageID
		if _, ok := named[id]; !ok {
			named[id] = struct{}{}
			change.Messages = append(change.Messages, id)
		}
	}
	for _, one := range list {
		// It may have been removed since, perhaps by the one before it.
		if slices.Contains(s.all(), one) {
			one.fn(change)
		}
	}
}
