package idbstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// connection connects one store with its database. It opens another one if it
// has lost the first, until it finds that the database was replaced.
type connection struct {
	engine engine
	heads  *heads

	turn  chan struct{} // held while the connection is looked at or opened
	db    database      // nil if it is to be opened; guarded by turn
	reset bool          // another database was found; guarded by turn

	mu    sync.Mutex
	known string // the epoch of the database; "" until it is open
}

func newConnection(e engine, h *heads) *connection {
	return &connection{engine: e, heads: h, turn: make(chan struct{}, 1)}
}

// open returns the connection, and opens one if there is none.
func (c *connection) open(ctx context.Context) (database, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, cause(ctx)
	}
	if c.reset {
		return nil, errReset
	}
	if c.db != nil && !c.db.lost() {
		return c.db, nil
	}
	db, err := c.engine.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.recognize(ctx, db); err != nil {
		db.close()
		return nil, err
	}
	c.db = db
	return db, nil
}

// current returns the connection if there is one that need not be waited for, and
// else nil.
func (c *connection) current() database {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	default:
		return nil
	}
	if c.reset || c.db == nil || c.db.lost() {
		return nil
	}
	return c.db
}

// epoch returns that of the database, "" before it was open.
func (c *connection) epoch() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

var errReset = &core.Error{Code: core.ErrStoreReset,
	Detail: "the browser or the user emptied the storage, and what was in it is gone; open the store again to go on with an empty one"}

// recognize compares a database that was just opened with the one that this
// store, or an earlier life of the page, has known. It reports a reset once: a
// store that is opened after that takes the database as it is.
func (c *connection) recognize(ctx context.Context, db database) error {
	found := db.identity()
	if found.format != formatVersion {
		return &core.Error{Code: core.ErrUnsupportedVersion,
			Detail: fmt.Sprintf("the database has format %d; this release reads format %d; use the release that wrote it", found.format, formatVersion)}
	}
	switch former := c.epoch(); former {
	case found.epoch:
		return nil
	case "":
	default:
		c.reset = true
		_, _ = replaces(ctx, db, former) // without that, who opens it next is told as well
		return errReset
	}
	before := c.heads.found()
	if known := before.epoch; known != "" && known != found.epoch {
		reported, err := replaces(ctx, db, known)
		switch {
		case err != nil && !errors.Is(err, core.ErrOutcomeUnknown):
			return err // a database that takes no note takes nothing else, and the reset is reported when it does
		case !reported:
			return errReset
		}
	}
	c.mu.Lock()
	c.known = found.epoch
	c.mu.Unlock()
	c.heads.learn(found.epoch, before)
	return nil
}

// replaces notes in db that it was reported to have replaced the database with
// the epoch former, and reports whether that was noted before. The note is in
// the database and not outside of it, because there it is exact: one tab makes
// it, and it goes when the database goes.
func replaces(ctx context.Context, db database, former string) (reported bool, err error) {
	err = attempt(ctx, db, readWrite, metaStore, func(ctx context.Context, tx transaction) error {
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
func (c *connection) abandon(ctx context.Context, db database) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return // another call is opening it
	}
	if c.db == db {
		c.db = nil
		db.close()
	}
}

// close closes the connection, if there is one. The next call opens another one.
func (c *connection) close() {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.db != nil {
		c.db.close()
		c.db = nil
	}
}
