package idbstore

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// SaveSnapshot implements [core.Snapshotter]. It writes in a transaction over
// snapshots alone, so that no append has to wait for it. A deletion in between
// does not find the snapshot, so it looks for the stream before and after. A
// frozen page saves none.
func (s *Store) SaveSnapshot(ctx context.Context, stream string, sequence uint64, snapshot []byte) error {
	const op = "save snapshot"
	if err := core.CheckSnapshot(stream, sequence, snapshot); err != nil {
		return err
	}
	if s.engine.frozen() {
		return &core.Error{Code: core.ErrCancelled, Op: op, Stream: stream, Detail: "the page is frozen, and nothing was written"}
	}
	ctx, letGo := s.WithDeadline(ctx)
	defer letGo()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Close need not wait for this: a later call saves another snapshot.
	defer context.AfterFunc(s.life, func() { cancel(errClosing) })()
	there, err := contains(ctx, s.calls, op, stream, sequence)
	if err != nil || !there {
		return err
	}
	err = s.calls.run(ctx, op, stream, readWriteIdle, snapshotsStore, func(_ context.Context, tx transaction) error {
		return tx.put([]byte(stream), snapshot)
	})
	if err != nil {
		return err
	}
	if there, err := contains(ctx, s.calls, op, stream, sequence); err != nil || there {
		return err
	}
	return s.calls.run(ctx, op, stream, readWriteIdle, snapshotsStore, func(_ context.Context, tx transaction) error {
		return removeKey(tx, stream)
	})
}

// contains reports whether stream has an event right before sequence. If the
// stream was deleted, the first record that ends there or later is the
// tombstone.
func contains(ctx context.Context, c *calls, op, stream string, sequence uint64) (bool, error) {
	return view(ctx, c, op, stream, recordsStore, func(ctx context.Context, tx transaction) (bool, error) {
		keys, err := tx.keys(recordsEndingFrom(stream, sequence), 1).wait(ctx)
		if err != nil || len(keys) == 0 {
			return false, err
		}
		_, _, deleted, ok := parseKey(keys[0])
		if !ok {
			return false, corruptKey(stream)
		}
		return !deleted, nil
	})
}

// ReadSnapshot implements [core.Snapshotter].
func (s *Store) ReadSnapshot(ctx context.Context, stream string) ([]byte, error) {
	const op = "read snapshot"
	if err := core.CheckName(op, stream); err != nil {
		return nil, err
	}
	return view(ctx, s.calls, op, stream, snapshotsStore, func(ctx context.Context, tx transaction) ([]byte, error) {
		return tx.get([]byte(stream)).wait(ctx)
	})
}
