package idbstore

import (
	"context"
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
)

// maxTries bounds how often a call opens the database.
const maxTries = 3

// connect returns the connection, and opens one if there is none.
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

// connection returns the connection if there is one that need not be waited
// for, and else nil.
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

// recognize compares a database that was just opened with the one that this
// store, or an earlier life of the page, has known. It reports a reset once: a
// store that is opened after that takes the database as it is.
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
		return // another call is opening it
	}
	if s.db == db {
		s.db = nil
		db.close()
	}
}

// disconnect closes the connection, if there is one.
func (s *Store) disconnect() {
	s.connecting <- struct{}{}
	defer func() { <-s.connecting }()
	if s.db != nil {
		s.db.close()
		s.db = nil
	}
}
