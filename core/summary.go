package core

import (
	"math"
	"slices"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// SummaryOf returns the summary of the conversation with an id and a state.
func SummaryOf(id string, s *State) Summary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return summarize(id, s.metadata, s.dates, s.pending)
}

func summarize(id string, m Metadata, d dates, p pending) Summary {
	s := Summary{ID: id, Metadata: m, Created: d.created, Updated: d.updated, Unfinished: len(p)}
	for _, m := range p {
		if m.Parked {
			s.Waiting++
		}
	}
	for m := range p.eligible {
		if m.Parked {
			s.Due = Sooner(s.Due, m.Due)
		} else {
			s.Ready = true
		}
	}
	return s
}

// foresee returns the summary of a conversation once entries are appended at a
// time; nil if that does not change it.
func (s *State) foresee(id string, entries []*entry, at uint64) *Summary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, metadata, changed := s.dates, s.metadata, false
	var touched map[string]*kept // by entries, as they are after them
	received := len(s.order)
	for _, e := range entries {
		event := e.event
		changed = d.take(event.Kind, at) || changed
		switch event.Kind {
		case KindStepStarted, KindStepStreamed, KindAttemptFailed, KindStepWaiting, KindNote:
			continue // a message is pending or parked as before
		case KindMetadata:
			metadata = metadata.with(event.MessageID, event.Output)
			continue
		}
		m := touched[event.MessageID]
		if m == nil {
			known := s.messages[event.MessageID]
			switch {
			case known == nil:
				m = newMessage(event.MessageID)
			case known.heeds(event.Kind):
				m = known.clone()
			default:
				continue
			}
			if touched == nil {
				touched = map[string]*kept{}
			}
			touched[m.ID] = m
		}
		event.Body, event.Output = nil, nil // of no account here, and may be large
		m.apply(&event)
		if m.Received && m.Position < 0 {
			m.Position = received
			received++
		}
	}
	if !changed && len(touched) == 0 && metadata == s.metadata {
		return nil
	}
	after := slices.Clone(s.pending)
	for _, m := range touched {
		after = after.with(m)
	}
	summary := summarize(id, metadata, d, after)
	if !changed && summary == summarize(id, s.metadata, d, s.pending) {
		return nil
	}
	return &summary
}

// heeds reports whether an event of a kind can change whether m is pending, or
// whether it is parked.
func (m *kept) heeds(kind Kind) bool {
	switch kind {
	case KindProcessingStarted, KindStepCompleted, KindStepFailed, KindStepResolved:
		return m.Parked || m.Failed
	default:
		return true
	}
}

// The bytes of a summary are
//
//	[version, id, created, updated, unfinished, waiting, 1 if it is ready, due,
//	 metadata]
//
// and the seal, see wire.Seal; metadata.go knows the last element. One of another
// version is ignored, and made again from the log.
const summaryVersion = 1

// EncodeSummary returns the bytes of a summary, for a [Directory] to store.
func EncodeSummary(s Summary) []byte {
	w := wire.NewWriter(make([]byte, 0, len(s.ID)+len(s.Metadata.packed)+64))
	w.Array(9)
	w.Uint(summaryVersion)
	w.Text(s.ID)
	w.Uint(s.Created)
	w.Uint(s.Updated)
	w.Uint(uint64(s.Unfinished))
	w.Uint(uint64(s.Waiting))
	if s.Ready {
		w.Uint(1)
	} else {
		w.Uint(0)
	}
	w.Uint(s.Due)
	writeMetadata(w, s.Metadata)
	return wire.Seal("", w.End())
}

// DecodeSummary returns the summary that was encoded as b, which may come from
// anywhere. [ErrCorrupt] if it is damaged, or of another release.
func DecodeSummary(b []byte) (Summary, error) {
	content, whole := wire.Unseal("", b)
	var r wire.Reader
	r.Reset(content)
	r.Array("the summary", 9)
	if r.Uint("the version", math.MaxUint64) != summaryVersion {
		r.Refuse("the version", " is another one")
	}
	s := Summary{ID: string(r.Text("the id"))}
	s.Created, s.Updated = r.Uint("a time", MaxSequence), r.Uint("a time", MaxSequence)
	s.Unfinished, s.Waiting = int(r.Uint("a number", math.MaxInt32)), int(r.Uint("a number", math.MaxInt32))
	s.Ready = r.Uint("a flag", 1) == 1
	s.Due = r.Uint("a time", MaxSequence)
	s.Metadata = readMetadata(&r)
	if r.More() {
		r.Refuse("the summary", " is followed by other bytes")
	}
	if !whole {
		r.Refuse("the summary", " has a wrong checksum")
	}
	if defect := r.Defect(); defect != "" || CheckName("", s.ID) != nil {
		return Summary{}, &Error{Code: ErrCorrupt, Op: "decode summary", Detail: "a stored summary is damaged: " + defect}
	}
	return s, nil
}
