package idbstore

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/later"
)

// start opens the database of e for the first time.
func start(ctx context.Context, e engine, timeout time.Duration) (*Store, error) {
	switch {
	case timeout == 0:
		timeout = DefaultTimeout
	case timeout < 0:
		return nil, &core.Error{Code: core.ErrInvalidArgument, Op: "open", Detail: "Timeout must not be negative"}
	}
	s := &Store{
		engine:     e,
		timeout:    timeout,
		connecting: make(chan struct{}, 1),
		watchers:   map[*watcher]struct{}{},
		unposted:   map[string][]byte{},
		compaction: compaction{due: compactDue, quiet: compactQuiet, tails: map[string]tail{}},
	}
	s.postTimer = later.New(s.post)
	s.compaction.timer = later.New(s.compactTails)
	s.life, s.end = context.WithCancelCause(context.Background())
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	s.heads = newHeads(ctx, e, func(err error) {
		code := core.ErrStorageUnavailable
		if failure := (*engineError)(nil); errors.As(err, &failure) {
			code = codeOf(failure)
		}
		_ = s.fail("remember", "", &core.Error{Code: code, Err: err,
			Detail: "what is remembered outside the database could not be read or written, so the loss of data may not be noticed"})
	})
	if err := s.retry(func() error { _, err := s.connect(ctx); return err }); err != nil {
		return nil, s.fail("open", "", err)
	}
	peers, err := e.listen(s.received, s.missed, s.post)
	if err != nil {
		s.db.close()
		return nil, s.fail("open", "", err)
	}
	s.peers = peers
	return s, nil
}

// Close implements [core.DurableStore].
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	clear(s.watchers)
	s.mu.Unlock()
	for _, timer := range []*later.Timer{s.heads.timer, s.postTimer, s.compaction.timer} {
		timer.Stop()
	}
	s.end(errClosing)
	s.calls.Wait()
	s.mu.Lock()
	if s.deadline.end != nil {
		s.deadline.end()
	}
	s.mu.Unlock()
	if !closed {
		s.heads.remember()
		s.post()
		s.peers.close()
		s.disconnect()
	}
	return nil
}
