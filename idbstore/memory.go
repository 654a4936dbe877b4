package idbstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// mostHeads is how many heads are remembered.
const mostHeads = 256

// remembered is how far a stream has come.
type remembered struct {
	stream string
	head   uint64
	// due is where a reader expects it to end, at least. It is less than head
	// once the loss of what is after due was reported.
	due uint64
}

// memory is what is remembered of a database.
type memory struct {
	epoch string
	heads []remembered // the stream that was written to last comes first
}

// encode puts NULs, which no name contains, between the parts, and a checksum
// before them.
func (m memory) encode() string {
	var b strings.Builder
	b.WriteString(m.epoch)
	for _, r := range m.heads {
		for _, part := range []string{strconv.FormatUint(r.head, 10), strconv.FormatUint(r.due, 10), r.stream} {
			b.WriteByte(0)
			b.WriteString(part)
		}
	}
	return checksumOf(b.String()) + "\x00" + b.String()
}

func checksumOf(text string) string {
	return fmt.Sprintf("%08x", wire.Sum("heads", []byte(text)))
}

// decodeMemory reports false of a text that encode has not written.
func decodeMemory(text string) (memory, bool) {
	checksum, rest, _ := strings.Cut(text, "\x00")
	if checksum != checksumOf(rest) {
		return memory{}, false
	}
	epoch, rest, more := strings.Cut(rest, "\x00")
	if len(epoch) > maxEpoch {
		return memory{}, false
	}
	m := memory{epoch: epoch}
	for more {
		var head, due, stream string
		head, rest, _ = strings.Cut(rest, "\x00")
		due, rest, more = strings.Cut(rest, "\x00")
		if !more || len(m.heads) == mostHeads {
			return memory{}, false
		}
		stream, rest, more = strings.Cut(rest, "\x00")
		r := remembered{stream: stream}
		var err, errDue error
		r.head, err = strconv.ParseUint(head, 10, 64)
		r.due, errDue = strconv.ParseUint(due, 10, 64)
		if err != nil || errDue != nil || r.head > core.MaxSequence || r.due > r.head {
			return memory{}, false
		}
		m.heads = append(m.heads, r)
	}
	return m, true
}

// with returns m after changes. The streams that have changed come first, in the
// same order.
func (m memory) with(changes []remembered) memory {
	after := memory{epoch: m.epoch}
	changed := map[string]remembered{}
	for _, r := range changes {
		changed[r.stream] = r
	}
	var others []remembered
	for _, r := range m.heads {
		if change, ok := changed[r.stream]; ok {
			changed[r.stream] = r.then(change)
		} else {
			others = append(others, r)
		}
	}
	for _, r := range changes {
		after.heads = append(after.heads, changed[r.stream])
	}
	after.heads = append(after.heads, others...)
	after.heads = after.heads[:min(len(after.heads), mostHeads)]
	return after
}

// then returns r after a change, which may be older than r if another tab has
// written that.
func (r remembered) then(change remembered) remembered {
	reported := change.due < change.head && change.head >= r.head
	if !reported {
		change.due = max(change.due, r.due)
	}
	change.head = max(change.head, r.head)
	return change
}
