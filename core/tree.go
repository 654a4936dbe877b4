package core

import "slices"

// tree are the received messages, in order of arrival; only ever appended to. Each
// follows one that was received before it, or none. Those that follow the same one
// are siblings. Who never says what a message follows has a list.
type tree []*kept

// follows returns the message that m follows; nil if it follows none.
func (t tree) follows(m *kept) *kept {
	if m.back == 0 {
		return nil
	}
	return t[m.Position-int(m.back)]
}

// view returns m as others see it.
func (t tree) view(m *kept) Message {
	c := m.copy()
	if after := t.follows(m); after != nil {
		c.After = after.ID
	}
	return c
}

// line returns m after those that it follows, the first one first.
func (t tree) line(m *kept) (line []*kept) {
	for ; m != nil; m = t.follows(m) {
		line = append(line, m)
	}
	slices.Reverse(line)
	return line
}

// newest returns the one received last of m and all that follow it, directly or not.
func (t tree) newest(m *kept) *kept {
	newest, follows := m, make([]bool, len(t)-m.Position)
	follows[0] = true
	for i, other := range t[m.Position+1:] {
		if at := i + 1 - int(other.back); other.back > 0 && at >= 0 && follows[at] {
			newest, follows[i+1] = other, true
		}
	}
	return newest
}

func (t tree) siblings(m *kept) (siblings []*kept) {
	after := t.follows(m)
	for _, other := range t {
		if t.follows(other) == after {
			siblings = append(siblings, other)
		}
	}
	return siblings
}
