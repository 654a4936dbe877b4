package idbstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// errHeadMoved aborts an append whose stream has another head than expected.
var errHeadMoved = &core.Error{Code: core.ErrSequenceConflict, Detail: "the head has moved"}

// addition is what an append adds, and where.
type addition struct {
	stream     string
	from, end  uint64
	heads      keyRange // of the records that decide whether the head is as expected
	key, value []byte
}

func newAddition(stream string, expectedSeq uint64, payloads [][]byte) (addition, error) {
	if err := core.CheckAppend(stream, expectedSeq, payloads); err != nil {
		return addition{}, err
	}
	end := expectedSeq + uint64(len(payloads))
	value := encodeRecord(stream, expectedSeq, time.Now().UnixMilli(), payloads)
	return addition{stream, expectedSeq, end, recordsEndingFrom(stream, expectedSeq), sizedKey(stream, end, len(value)), value}, nil
}

// Append implements [core.DurableStore]. It costs one round trip to the
// browser's storage: the write of the record is asked for right after the head,
// and the head that comes back decides between commit and abort.
func (s *Store) Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error) {
	a, err := newAddition(stream, expectedSeq, payloads)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	if err := s.added(ctx, a, s.add(ctx, a)); err != nil {
		return 0, err
	}
	return expectedSeq, nil
}

func (s *Store) add(ctx context.Context, a addition) error {
	stepwise := func(ctx context.Context, tx transaction) error {
		found := tx.keys(a.heads, 2)
		if err := tx.add(a.key, a.value); err != nil {
			return err
		}
		keys, err := found.wait(ctx)
		if err != nil {
			return err
		}
		if !headIs(keys, a.heads.lower, a.from) {
			return errHeadMoved
		}
		return nil
	}
	return s.calls.connected(ctx, "append", a.stream, func(ctx context.Context, db database) error {
		appender, ok := db.(appender)
		if !ok || !appender.canAppend() {
			return attempt(ctx, db, readWrite, recordsStore, stepwise)
		}
		tx, err := appender.appendRecord(a.heads, a.from == 0, a.key, a.value)
		if err != nil {
			return err
		}
		return outcome(ctx, tx)
	})
}

// added finishes an addition that has ended with err, and returns the error for
// the caller.
func (s *Store) added(ctx context.Context, a addition, err error) error {
	if errors.Is(err, core.ErrSequenceConflict) {
		return conflict(ctx, s.calls, a.stream, a.from)
	}
	if err == nil {
		s.moved(a.stream, a.end, a.key)
		s.compactor.appended(a.stream, a.from, a.end, len(a.value))
	}
	return err
}

// moved notes and announces that stream has reached head, with the record at key.
func (s *Store) moved(stream string, head uint64, key []byte) {
	s.heads.moved(stream, head)
	s.news.announce(stream, head, key)
}

// BeginAppend implements [core.Beginner], for a database that carries out an
// append in one step.
func (s *Store) BeginAppend(stream string, expectedSeq uint64, payloads [][]byte, ended func(error)) bool {
	db, ok := s.calls.connection.current().(appender)
	if !ok || !db.canAppend() {
		return false
	}
	a, err := newAddition(stream, expectedSeq, payloads)
	if err != nil || s.calls.enter() != nil {
		return false
	}
	ctx, cancel := s.WithDeadline(context.Background())
	tx, err := db.appendRecord(a.heads, a.from == 0, a.key, a.value)
	if err != nil {
		cancel()
		s.calls.running.Done()
		return false // Append meets the same error, and tries again if that can help
	}
	finish := func(err error) {
		err = s.added(ctx, a, err)
		cancel()
		s.calls.running.Done()
		ended(err)
	}
	wait := func() {
		err := outcome(ctx, tx)
		failed := connectionFailed(err)
		if failed {
			s.calls.connection.abandon(ctx, db.(database))
		}
		switch {
		case failed && !errors.Is(err, core.ErrOutcomeUnknown):
			err = s.add(ctx, a)
		case err != nil:
			err = s.calls.fail("append", stream, err)
		}
		finish(err)
	}
	overdue := context.AfterFunc(ctx, wait)
	tx.then(func(err error) {
		switch {
		case !overdue(): // wait has been called already
		case err == nil:
			finish(nil)
		default:
			go wait()
		}
	})
	return true
}

// outcome waits for the end of an append, and returns nil only if it was
// committed.
func outcome(ctx context.Context, tx appending) error {
	err := tx.wait(ctx)
	var failure *engineError
	switch {
	case err == nil, errors.Is(err, errHeadMoved):
		return err
	case errors.As(err, &failure):
		if tx.commitFailed() && !failure.definite() {
			return unknownOutcome(err)
		}
		return err
	case tx.abort():
		return unknownOutcome(err)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortGrace)
	defer cancel()
	if tx.wait(grace) == nil {
		return unknownOutcome(err) // the browser committed before the abort
	}
	return err
}

// headIs reports whether expected is the head. plain is the key of a small
// record that ends there, and keys are the first two from there on.
func headIs(keys [][]byte, plain []byte, expected uint64) bool {
	if expected == 0 {
		return len(keys) == 0
	}
	if len(keys) != 1 {
		return false
	}
	rest, found := bytes.CutPrefix(keys[0], plain)
	return found && (len(rest) == 0 || len(rest) == 1 && isMark(rest[0]))
}

// conflict returns the error of an append that has found another head, with
// that head. It reads the record too: reads do not see a damaged key, so
// without this check a caller that refreshes and appends again would do so for
// ever.
func conflict(ctx context.Context, c *calls, stream string, expected uint64) error {
	actual, err := view(ctx, c, "append", stream, recordsStore, func(ctx context.Context, tx transaction) (uint64, error) {
		key, head, deleted, err := lastRecord(ctx, tx, stream)
		if err != nil || head == 0 {
			return 0, err
		}
		last, err := tx.values(keyRange{key, key}, 1).wait(ctx)
		if err == nil && len(last) > 0 {
			_, err = decodeRecordAt(stream, last[0], head, deleted)
		}
		return head, err
	})
	if err != nil {
		return err
	}
	return &core.SequenceConflictError{Stream: stream, Expected: expected, Actual: actual}
}
