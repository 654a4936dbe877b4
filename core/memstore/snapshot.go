package memstore

import (
	"bytes"
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// SaveSnapshot implements [core.Snapshotter].
func (s *Store) SaveSnapshot(ctx context.Context, stream string, sequence uint64, snapshot []byte) error {
	if err := core.CheckSnapshot(stream, sequence, snapshot); err != nil {
		return err
	}
	return s.do(ctx, "save snapshot", stream, func(m *memory) error {
		for _, entry := range m.streams[stream] {
			if entry.Sequence == sequence-1 && !entry.Tombstone {
				m.snapshots[stream] = bytes.Clone(snapshot)
			}
		}
		return nil
	})
}

// ReadSnapshot implements [core.Snapshotter].
func (s *Store) ReadSnapshot(ctx context.Context, stream string) ([]byte, error) {
	const op = "read snapshot"
	if err := core.CheckName(op, stream); err != nil {
		return nil, err
	}
	var snapshot []byte
	err := s.do(ctx, op, stream, func(m *memory) error {
		snapshot = bytes.Clone(m.snapshots[stream])
		return nil
	})
	return snapshot, err
}
