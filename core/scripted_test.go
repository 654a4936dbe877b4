package core_test

import (
	"context"
	"sync"

	"github.com/holdfast-dev/holdfast/core"
)

// step stands in for one call of Append, and may make the call itself.
type step func(append func() (uint64, error)) (uint64, error)

// look stands in for one call of ReadFrom, and may make the call itself.
type look func(read func() ([]core.Entry, error)) ([]core.Entry, error)

// scripted is a store whose next calls of Append and ReadFrom follow a script.
// Once that is through, they succeed as they would without it.
type scripted struct {
	core.DurableStore

	mu      sync.Mutex
	appends []step
	reads   []look
	calls   []string // "append" and "read", in their order
	offsets []uint64 // of the reads
}

func (s *scripted) Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error) {
	call := func() (uint64, error) { return s.DurableStore.Append(ctx, stream, expectedSeq, payloads...) }
	s.mu.Lock()
	s.calls = append(s.calls, "append")
	var next step
	if len(s.appends) > 0 {
		next, s.appends = s.appends[0], s.appends[1:]
	}
	s.mu.Unlock()
	if next != nil {
		return next(call)
	}
	return call()
}

func (s *scripted) ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]core.Entry, error) {
	call := func() ([]core.Entry, error) { return s.DurableStore.ReadFrom(ctx, stream, offset, limit) }
	s.mu.Lock()
	s.calls = append(s.calls, "read")
	s.offsets = append(s.offsets, offset)
	var next look
	if len(s.reads) > 0 {
		next, s.reads = s.reads[0], s.reads[1:]
	}
	s.mu.Unlock()
	if next != nil {
		return next(call)
	}
	return call()
}

// refuse writes nothing and says so.
func refuse(err error) step {
	return func(func() (uint64, error)) (uint64, error) { return 0, err }
}

// unreadable reads nothing and says so.
func unreadable(func() ([]core.Entry, error)) ([]core.Entry, error) {
	return nil, core.ErrStorageUnavailable
}

func readable(read func() ([]core.Entry, error)) ([]core.Entry, error) { return read() }
