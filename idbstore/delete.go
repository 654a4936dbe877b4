package idbstore

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// Delete implements [core.DurableStore].
func (s *Store) Delete(ctx context.Context, stream string) error {
	const op = "delete"
	if err := core.CheckName(op, stream); err != nil {
		return err
	}
	var end uint64 // of the tombstone; 0 if there was nothing to delete
	err := s.calls.update(ctx, op, stream, allOfStreams, func(ctx context.Context, tx transaction) error {
		end = 0
		_, head, deleted, err := lastRecord(ctx, tx, stream)
		if err != nil || head == 0 || deleted {
			return err
		}
		if head == core.MaxSequence {
			return &core.Error{Code: core.ErrOutOfRange, Detail: fmt.Sprintf("there is no sequence after %d for the tombstone", head)}
		}
		if err := tx.remove(recordsEndingFrom(stream, 0)); err != nil {
			return err
		}
		for _, store := range []string{snapshotsStore, directoryStore} {
			of, err := tx.in(store)
			if err != nil {
				return err
			}
			if err := removeKey(of, stream); err != nil {
				return err
			}
		}
		end = head + 1
		return tx.add(tombstoneKey(stream, end), encodeTombstone(stream, head, time.Now().UnixMilli()))
	})
	if err == nil && end > 0 {
		s.moved(core.StreamInfo{Name: stream, Head: end, Summary: true}, tombstoneKey(stream, end))
		s.LostEnd(stream, end, true) // what was lost before is deleted, too
	}
	return err
}
