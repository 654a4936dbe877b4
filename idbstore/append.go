package idbstore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// errHeadMoved aborts an append whose stream has another head than expected.
var errHeadMoved = &core.Error{Code: core.ErrSequenceConflict, Detail: "the head has moved"}

// addition is what a write adds, and where.
type addition struct {
	stream     string
	from, end  uint64
	heads      keyRange // of the records that decide whether the head is as expected
	key, value []byte
	summary    *listed // nil if it stays as it is
}

func newAddition(w core.Write) addition {
	end := w.Expected + uint64(len(w.Payloads))
	if w.Time == 0 {
		w.Time = uint64(time.Now().UnixMilli())
	}
	value := encodeRecord(w.Stream, w.Expected, int64(w.Time), w.Payloads)
	return addition{w.Stream, w.Expected, end, recordsEndingFrom(w.Stream, w.Expected), sizedKey(w.Stream, end, len(value)), value, newListed(w.Summary)}
}

// Append implements [core.DurableStore].
func (s *Store) Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error) {
	ended := make(chan error, 1)
	s.Begin(ctx, func(err error) { ended <- err }, core.Write{Stream: stream, Expected: expectedSeq, Payloads: payloads})
	if err := <-ended; err != nil {
		return 0, err
	}
	return expectedSeq, nil
}

// Begin implements [core.Beginner]. It costs one round trip to the browser's
// storage: the write of the records is asked for right after the heads, and the
// heads that come back decide between commit and abort.
func (s *Store) Begin(ctx context.Context, ended func(error), writes ...core.Write) {
	if err := core.CheckWrites(writes); err != nil {
		go ended(err)
		return
	}
	additions := make([]addition, len(writes))
	for i, w := range writes {
		additions[i] = newAddition(w)
	}
	if err := s.calls.enter(); err != nil {
		go ended(s.calls.fail("append", writes[0].Stream, err))
		return
	}
	ctx, cancel := s.WithDeadline(ctx)
	finish := func(err error) {
		err = s.added(ctx, additions, err)
		cancel()
		s.calls.running.Done()
		ended(err)
	}
	if len(additions) > 1 || !s.addAtOnce(ctx, additions[0], finish) {
		go func() { finish(s.add(ctx, additions)) }()
	}
}

// addAtOnce begins an addition, if nothing has to be waited for before that, and
// reports whether it has. No goroutine waits for the commit.
func (s *Store) addAtOnce(ctx context.Context, a addition, finish func(error)) bool {
	db, ok := s.calls.connection.current().(appender)
	if !ok || !db.canAppend() || ctx.Err() != nil {
		return false
	}
	tx, err := db.appendRecord(a.heads, a.from == 0, a.key, a.value, a.summary)
	if err != nil {
		return false // add meets the same error, and tries again if that can help
	}
	wait := func() {
		err := outcome(ctx, tx)
		failed := connectionFailed(err)
		if failed {
			s.calls.connection.abandon(ctx, db.(database))
		}
		switch {
		case failed && !errors.Is(err, core.ErrOutcomeUnknown):
			err = s.add(ctx, []addition{a})
		case err != nil:
			err = s.calls.fail("append", a.stream, err)
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

// add makes additions step by step, and waits for the commit.
func (s *Store) add(ctx context.Context, additions []addition) error {
	stepwise := func(ctx context.Context, tx transaction) error {
		found := make([]answer[[][]byte], len(additions))
		for i, a := range additions {
			found[i] = tx.keys(a.heads, 2)
			if err := tx.add(a.key, a.value); err != nil {
				return err
			}
		}
		if err := listAll(tx, additions); err != nil {
			return err
		}
		for i, a := range additions {
			keys, err := found[i].wait(ctx)
			if err != nil {
				return err
			}
			if !headIs(keys, a.heads.lower, a.from) {
				return errHeadMoved
			}
		}
		return nil
	}
	scope := recordsStore
	if slices.ContainsFunc(additions, func(a addition) bool { return a.summary != nil }) {
		scope = recordsAndDirectory
	}
	return s.calls.update(ctx, "append", additions[0].stream, scope, stepwise)
}

// listAll puts the summaries of additions.
func listAll(tx transaction, additions []addition) error {
	for _, a := range additions {
		if a.summary == nil {
			continue
		}
		directory, err := tx.in(directoryStore)
		if err == nil {
			err = directory.list(a.stream, a.summary)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// added finishes additions that have ended with err, and returns the error for
// the caller.
func (s *Store) added(ctx context.Context, additions []addition, err error) error {
	if errors.Is(err, core.ErrSequenceConflict) {
		return s.conflict(ctx, additions)
	}
	if err == nil {
		for _, a := range additions {
			s.moved(core.StreamInfo{Name: a.stream, Head: a.end, Summary: a.summary != nil}, a.key)
			s.compactor.appended(a.stream, a.from, a.end, len(a.value))
		}
	}
	return err
}

// moved notes and announces that a stream has reached a head, with the record at
// key.
func (s *Store) moved(to core.StreamInfo, key []byte) {
	s.heads.moved(to.Name, to.Head)
	s.news.announce(to, key)
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

// conflict returns the error of additions of which one has found another head,
// with that head. It reads the record too: reads do not see a damaged key, so
// without this check a caller that refreshes and appends again would do so for
// ever.
func (s *Store) conflict(ctx context.Context, additions []addition) error {
	var found *core.SequenceConflictError
	for _, a := range additions {
		actual, err := view(ctx, s.calls, "append", a.stream, recordsStore, func(ctx context.Context, tx transaction) (uint64, error) {
			key, head, deleted, err := lastRecord(ctx, tx, a.stream)
			if err != nil || head == 0 {
				return 0, err
			}
			last, err := tx.values(keyRange{key, key}, 1).wait(ctx)
			if err == nil && len(last) > 0 {
				_, err = decodeRecordAt(a.stream, last[0], head, deleted)
			}
			return head, err
		})
		if err != nil {
			return err
		}
		if found == nil || actual != a.from {
			found = &core.SequenceConflictError{Stream: a.stream, Expected: a.from, Actual: actual}
		}
	}
	return found
}
