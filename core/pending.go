package core

import (
	"cmp"
	"slices"
)

// pending are received messages that are [Message.Pending], in order of arrival.
type pending []*kept

// with returns them with a message in its place, or without it if it is not
// pending, and may change p.
func (p pending) with(m *kept) pending {
	at, there := slices.BinarySearchFunc(p, m.Position, func(m *kept, position int) int { return cmp.Compare(m.Position, position) })
	switch {
	case m.Pending() && there:
		p[at] = m
		return p
	case m.Pending():
		return slices.Insert(p, at, m)
	case there:
		return slices.Delete(p, at, at+1)
	default:
		return p
	}
}

// eligible iterates over them up to the first that is parked and holds up those
// after it.
func (p pending) eligible(yield func(*kept) bool) {
	for _, m := range p {
		if !yield(m) || m.Parked && !m.Pass {
			return
		}
	}
}
