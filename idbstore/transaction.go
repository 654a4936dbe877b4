package idbstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

const (
	// formatVersion is what this release reads and writes.
	formatVersion = 1
	// maxTries bounds how often a call opens the database anew.
	maxTries = 3
	// abortGrace bounds the wait for the event `abort`, behind the deadline of the
	// call. An abort that was called is final; the wait is there so that the next
	// call finds it done.
	abortGrace = 2 * time.Second
)

// errTimeout is the cause of a context that the store itself has ended.
var errTimeout = errors.New("the storage did not answer in time")

// sharing is the part of the timeout for which calls share a deadline.
const sharing = 32

// withDeadline ends ctx after the timeout. Calls that nothing else can end share
// their deadlines, so it may be a little early: to set a timer of its own for
// each append, and to take it back, costs as much as to encode the event.
func (s *Store) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		return context.WithTimeoutCause(ctx, s.timeout, errTimeout)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := &s.deadline; d.ctx == nil || time.Since(d.set) > s.timeout/sharing {
		d.set = time.Now()
		d.ctx, d.end = context.WithTimeoutCause(context.Background(), s.timeout, errTimeout)
	}
	return s.deadline.ctx, func() {}
}

// view runs fn in a transaction that only reads. fn may run again after a
// failure of the connection, so it starts from nothing each time.
func (s *Store) view(ctx context.Context, op, stream, store string, fn func(context.Context, transaction) error) error {
	return s.run(ctx, op, stream, readOnly, store, fn)
}

// update runs fn in a transaction that writes, and commits if fn returns nil.
// Nil means that the browser has confirmed the commit. Like in view, fn may
// run again.
func (s *Store) update(ctx context.Context, op, stream, store string, fn func(context.Context, transaction) error) error {
	return s.run(ctx, op, stream, readWrite, store, fn)
}

func (s *Store) run(ctx context.Context, op, stream string, m mode, store string, fn func(context.Context, transaction) error) error {
	return s.connected(ctx, op, stream, func(ctx context.Context, db database) error {
		return s.attempt(ctx, db, m, store, fn)
	})
}

// connected runs attempt with a connection, and again with another one as long
// as it fails for want of a working one and nothing can have been written.
func (s *Store) connected(ctx context.Context, op, stream string, attempt func(context.Context, database) error) error {
	if ctx.Err() != nil {
		return s.fail(op, stream, context.Cause(ctx))
	}
	if err := s.enter(); err != nil {
		return s.fail(op, stream, err)
	}
	defer s.calls.Done()
	ctx, cancel := s.withDeadline(ctx)
	defer cancel()
	err := s.retry(func() error {
		db, err := s.connect(ctx)
		if err != nil {
			return err
		}
		err = attempt(ctx, db)
		if connectionFailed(err) {
			s.abandon(ctx, db)
		}
		return err
	})
	if err != nil {
		return s.fail(op, stream, err)
	}
	return nil
}

// retry calls fn again as long as it fails for want of a working connection
// and nothing can have been written.
func (s *Store) retry(fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || !connectionFailed(err) || errors.Is(err, core.ErrOutcomeUnknown) || try == maxTries {
			return err
		}
	}
}

// attempt runs fn in one transaction and sees that one through to its end.
func (s *Store) attempt(ctx context.Context, db database, m mode, store string, fn func(context.Context, transaction) error) error {
	tx, err := db.begin(m, store)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		tx.abort()
		if m == readOnly {
			return err // nothing depends on its end
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortGrace)
		defer cancel()
		if tx.wait(grace) == nil {
			return unknownOutcome(err) // the browser committed before the abort
		}
		return err
	}
	if m == readOnly {
		return nil // its answers are all there is to wait for
	}
	commitErr := tx.commit() // if it is refused, the end of the transaction tells why
	err = tx.wait(ctx)
	var failure *engineError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure) && failure.definite():
		return err
	default:
		return unknownOutcome(errors.Join(err, commitErr))
	}
}

func unknownOutcome(cause error) error {
	return &core.Error{Code: core.ErrOutcomeUnknown, Err: cause,
		Detail: "the commit was sent and its result was not seen; read back what is stored"}
}

// definite reports whether an abort with this error proves that nothing was
// written. Other aborts behind a commit are seen when a browser loses its
// storage process, and then the commit may have been carried out.
func (e *engineError) definite() bool {
	switch e.name {
	case quotaExceeded, constraintError, dataError, dataCloneError:
		return true
	}
	return false
}

// connectionFailed reports whether err is of a kind that a new connection may
// cure, which is every engine error that has no better explanation.
func connectionFailed(err error) bool {
	var failure *engineError
	if !errors.As(err, &failure) {
		return false
	}
	return unreadable(codeOf(failure))
}

// codeOf maps an engine error to the closed list.
func codeOf(e *engineError) core.Code {
	switch e.name {
	case constraintError: // `add` has found its key taken
		return core.ErrSequenceConflict
	case quotaExceeded:
		return core.ErrQuotaExceeded
	case dataError, dataCloneError, foreignDatabase:
		return core.ErrInvalidArgument
	case versionError:
		return core.ErrUnsupportedVersion
	case unknownError:
		if strings.Contains(e.message, "Corruption") { // Chromium with SQLite
			return core.ErrCorrupt
		}
	}
	return core.ErrStorageUnavailable
}

// unreadable reports whether err may be due to what was to be read.
func unreadable(err error) bool {
	return errors.Is(err, core.ErrStorageUnavailable) || errors.Is(err, core.ErrCorrupt)
}

// connect returns the connection, which it opens if there is none.
func (s *Store) connect(ctx context.Context) (database, error) {
	select {
	case s.connecting <- struct{}{}:
		defer func() { <-s.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.reset {
		return nil, errReset
	}
	if s.db != nil && !s.db.lost() {
		return s.db, nil
	}
	db, err := s.engine.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.recognize(ctx, db.identity()); err != nil {
		db.close()
		return nil, err
	}
	s.db = db
	return db, nil
}

// connection returns the connection if it can be had without waiting, and
// else nil.
func (s *Store) connection() database {
	select {
	case s.connecting <- struct{}{}:
		defer func() { <-s.connecting }()
	default:
		return nil
	}
	if s.reset || s.db == nil || s.db.lost() {
		return nil
	}
	return s.db
}

var errReset = &core.Error{Code: core.ErrStoreReset,
	Detail: "the browser or the user emptied the storage, and what was in it is gone; open the store again to go on with an empty one"}

// recognize compares a freshly opened database with the one that this store,
// or an earlier life of the page, has known. It reports a reset once per store
// and once per page: whoever opens again has been told.
func (s *Store) recognize(ctx context.Context, found identity) error {
	if found.format != formatVersion {
		return &core.Error{Code: core.ErrUnsupportedVersion,
			Detail: fmt.Sprintf("the database has format %d; this release reads format %d; update Holdfast", found.format, formatVersion)}
	}
	known := s.Epoch()
	first := known == ""
	var texts []string
	if first {
		texts = <-s.recalled
		s.recalled <- texts // this may be tried again
		known = epochOf(texts, found.epoch)
	}
	if known != "" && known != found.epoch {
		s.reset = true
		s.rememberReset(ctx, found.epoch)
		return errReset
	}
	s.mu.Lock()
	s.epoch = found.epoch
	s.mu.Unlock()
	if first {
		s.learn(texts)
	}
	return nil
}

// abandon gives up a connection that has failed, so that the next call opens
// another one.
func (s *Store) abandon(ctx context.Context, db database) {
	select {
	case s.connecting <- struct{}{}:
		defer func() { <-s.connecting }()
	case <-ctx.Done():
		return // somebody else is opening it
	}
	if s.db == db {
		s.drop(db)
	}
}

// drop closes db and forgets it. The caller holds connecting.
func (s *Store) drop(db database) {
	s.db = nil
	if db != nil {
		db.close()
	}
}

// fail gives err the operation and the stream, and a code if it has none.
func (s *Store) fail(op, stream string, err error) error {
	var typed *core.Error
	var failure *engineError
	switch {
	case errors.As(err, &typed):
		named := *typed
		named.Op, named.Stream = op, stream
		err = &named
	case errors.Is(err, errTimeout):
		err = &core.Error{Code: core.ErrBlocked, Op: op, Stream: stream, Err: err,
			Detail: fmt.Sprintf("nothing was written within %v; another tab may be holding the database, so close other tabs or try again", s.timeout)}
	case errors.As(err, &failure):
		err = &core.Error{Code: codeOf(failure), Op: op, Stream: stream, Err: err, Detail: advice(failure)}
	case core.CodeOf(err) == core.ErrCancelled:
		err = &core.Error{Code: core.ErrCancelled, Op: op, Stream: stream, Err: err, Detail: "nothing was written"}
	case errors.Is(err, core.ErrClosed):
		err = &core.Error{Code: core.ErrClosed, Op: op, Stream: stream, Detail: "the store was closed; open it again"}
	}
	switch core.CodeOf(err) {
	case core.ErrClosed, core.ErrCancelled, core.ErrInvalidArgument, core.ErrSequenceConflict, core.ErrCursorRegression, core.ErrOutOfRange:
	default:
		s.mu.Lock()
		s.last = err
		s.mu.Unlock()
	}
	return err
}

func advice(e *engineError) string {
	switch codeOf(e) {
	case core.ErrQuotaExceeded:
		return "the browser has no room for this origin, and nothing was written; delete conversations or ask the user to free space"
	case core.ErrInvalidArgument:
		if e.name == foreignDatabase {
			return "a database of this name exists and is not Holdfast's; choose another name"
		}
		return "the browser refused the data, and nothing was written"
	case core.ErrCorrupt:
		return "the browser has found its own files damaged"
	case core.ErrUnsupportedVersion:
		return "a newer release has written the database; update Holdfast"
	default:
		return fmt.Sprintf("the browser's storage failed, opened at most %d times; try again, or check private mode, disk and permissions", maxTries)
	}
}
