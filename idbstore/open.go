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
	s := &Store{engine: e, calls: &calls{timeout: timeout}, news: newNews()}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.compactor = newCompactor(s.calls, s.life, e.frozen)
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	s.heads = newHeads(ctx, e, func(err error) {
		code := core.ErrStorageUnavailable
		if failure := (*engineError)(nil); errors.As(err, &failure) {
			code = codeOf(failure)
		}
		_ = s.calls.fail("remember", "", &core.Error{Code: code, Err: err,
			Detail: "what is remembered outside the database could not be read or written, so the loss of data may not be noticed"})
	})
	connection := newConnection(e, s.heads)
	s.calls.connection = connection
	if err := retry(func() error { _, err := connection.open(ctx); return err }); err != nil {
		return nil, s.calls.fail("open", "", err)
	}
	peers, err := e.listen(s.news.received, s.missed, s.news.post)
	if err != nil {
		connection.close()
		return nil, s.calls.fail("open", "", err)
	}
	s.news.peers = peers
	return s, nil
}

// missed is called when the page may have missed posts: its connection may be
// dead, and any stream may have moved.
func (s *Store) missed() {
	go func() { // the browser's callback must not wait for the connection
		s.calls.connection.close()
		s.news.notify(core.StreamInfo{})
		s.compactor.soon() // one may have come due while it was frozen
	}()
}

// Close implements [core.DurableStore].
func (s *Store) Close() error {
	first := s.calls.close()
	s.news.forget()
	for _, timer := range []*later.Timer{s.heads.timer, s.news.timer, s.compactor.timer} {
		timer.Stop()
	}
	s.end(errClosing)
	s.calls.wait()
	if first {
		s.heads.remember()
		s.news.close()
		s.calls.connection.close()
	}
	return nil
}
