package core

import (
	"slices"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Note is something that the application has noted in a conversation, among the
// messages, which is never processed.
type Note struct {
	// Type says what kind of note it is. Type and ID are subject to [CheckName];
	// an id is unique among the notes of its type.
	Type, ID string
	// At is when it was made, in milliseconds since the Unix epoch by the caller's
	// clock, at most [MaxSequence].
	At uint64
	// Data is opaque; nil for none.
	Data []byte
}

// noteName tells a note from all others.
type noteName struct{ kind, id string }

func (n *Note) name() noteName { return noteName{n.Type, n.ID} }

// notes are those of a state.
type notes struct {
	list  []Note // in order; only ever appended to
	names map[noteName]struct{}
}

func newNotes(count int) notes {
	return notes{make([]Note, 0, count), make(map[noteName]struct{}, count)}
}

// add adds a note, and reports whether it is a new one.
func (n *notes) add(note Note) bool {
	if n.has(note.name()) {
		return false
	}
	n.names[note.name()] = struct{}{}
	n.list = append(n.list, note)
	return true
}

func (n *notes) has(name noteName) bool {
	_, known := n.names[name]
	return known
}

// of returns the notes of a type.
func (n *notes) of(kind string) (some []Note) {
	for _, note := range n.list {
		if note.Type == kind {
			some = append(some, note)
		}
	}
	return some
}

// last returns the id of the last note of a type, "" if there is none.
func (n *notes) last(kind string) string {
	for _, note := range slices.Backward(n.list) {
		if note.Type == kind {
			return note.ID
		}
	}
	return ""
}

func (n *notes) clone() notes {
	c := newNotes(len(n.list))
	for _, note := range n.list {
		c.add(note)
	}
	return c
}

// noteCost is what a note takes in memory at most when its row is read: its place
// in the list and in the map. A type and an id take twice their length at most.
const noteCost = 192

// size returns how many bytes the rows of all notes have at most, and what it costs
// to read them.
func (n *notes) size() (size, cost int) {
	for i := range n.list {
		note := &n.list[i]
		texts := len(note.ID) + len(note.Type)
		size += 32 + texts + len(note.Data)
		cost += noteCost + 2*texts
	}
	return size, cost
}

// The row of a note, beside those of row.go, is
//
//	[id, type, at, data?]
func writeNote(w *wire.Writer, note *Note) {
	if note.Data == nil {
		w.Array(3)
	} else {
		w.Array(4)
	}
	w.Text(note.ID)
	w.Text(note.Type)
	w.Uint(note.At)
	if note.Data != nil {
		w.Bytes(note.Data)
	}
}

// readNote reads a note. name returns the text that stands next.
func readNote(r *wire.Reader, name func(what string) string) Note {
	elements := r.ArrayLen("a note")
	note := Note{ID: name("a note's id"), Type: name("a note's type"), At: r.Uint("the time of a note", MaxSequence)}
	switch elements {
	case 3:
	case 4:
		note.Data = r.Bytes("the data")
	default:
		r.Refuse("a note", " has a wrong number of elements")
	}
	return note
}
