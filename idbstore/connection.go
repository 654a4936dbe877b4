package idbstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
		return nil, cause(ctx)
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
	if err := s.recognize(ctx, db); err != nil {
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
func (s *Store) recognize(ctx context.Context, db database) error {
	found := db.identity()
	if found.format != formatVersion {
		return &core.Error{Code: core.ErrUnsupportedVersion,
			Detail: fmt.Sprintf("the database has format %d; this release reads format %d; update Holdfast", found.format, formatVersion)}
	}
	switch s.Epoch() {
	case found.epoch:
		return nil
	case "":
	default:
		s.reset = true
		_, _ = s.replaces(ctx, db, s.Epoch()) // without that, who opens it next is told as well
		return errReset
	}
	before := s.heads.found()
	if known := before.epoch; known != "" && known != found.epoch {
		reported, err := s.replaces(ctx, db, known)
		switch {
		case err != nil && !errors.Is(err, core.ErrOutcomeUnknown):
			return err // a database that takes no note takes nothing else, and the reset is reported when it does
		case !reported:
			return errReset
		}
	}
	s.mu.Lock()
	s.epoch = found.epoch
	s.mu.Unlock()
	s.heads.learn(found.epoch, before)
	return nil
}

// replaces notes in db that it was reported to have replaced the database with
// the epoch former, and reports whether that was noted before. The note is in
// the database and not outside of it, because there it is exact: one tab makes
// it, and it goes when the database goes.
func (s *Store) replaces(ctx context.Context, db database, former string) (reported bool, err error) {
	err = s.attempt(ctx, db, readWrite, metaStore, func(ctx context.Context, tx transaction) error {
		note := []byte(metaReplaces + former)
		noted, err := tx.get(note).wait(ctx)
		if reported = noted != nil; err != nil || reported {
			return err
		}
		return tx.put(note, strconv.AppendInt(nil, time.Now().UnixMilli(), 10))
	})
	if reported {
		return true, nil
	}
	return false, err
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
