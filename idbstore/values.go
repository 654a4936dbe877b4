package idbstore

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// A stored value is be64(value), and the seal with its key, see wire.Seal.
const valueSize = 8

func encodeValue(key string, value uint64) []byte {
	return wire.Seal(key, binary.BigEndian.AppendUint64(nil, value))
}

// decodeValue takes nil for an absent value.
func decodeValue(key string, b []byte) (value uint64, present bool, err error) {
	if b == nil {
		return 0, false, nil
	}
	content, whole := wire.Unseal(key, b)
	if !whole || len(content) != valueSize {
		return 0, false, &core.Error{Code: core.ErrCorrupt, Detail: "a stored value is damaged"}
	}
	return binary.BigEndian.Uint64(content), true, nil
}

// CompareAndSwap implements [core.DurableStore].
func (s *Store) CompareAndSwap(ctx context.Context, key string, oldValue, newValue uint64) error {
	const op = "compare-and-swap"
	if err := core.CheckName(op, key); err != nil {
		return err
	}
	name := []byte(key)
	return s.calls.update(ctx, op, key, valuesStore, func(ctx context.Context, tx transaction) error {
		b, err := tx.get(name).wait(ctx)
		if err != nil {
			return err
		}
		stored, _, err := decodeValue(key, b)
		switch {
		case err != nil:
			return err
		case stored != oldValue:
			return &core.CursorRegressionError{Key: key, Stored: stored, Attempted: oldValue}
		case newValue == 0:
			return removeKey(tx, key)
		default:
			return tx.put(name, encodeValue(key, newValue))
		}
	})
}

// removeKey removes what is stored under a name, if anything is.
func removeKey(tx transaction, name string) error {
	key := []byte(name)
	return tx.remove(keyRange{key, key})
}

// ReadValue implements [core.DurableStore].
func (s *Store) ReadValue(ctx context.Context, key string) (uint64, bool, error) {
	const op = "read value"
	if err := core.CheckName(op, key); err != nil {
		return 0, false, err
	}
	var present bool
	value, err := view(ctx, s.calls, op, key, valuesStore, func(ctx context.Context, tx transaction) (value uint64, err error) {
		b, err := tx.get([]byte(key)).wait(ctx)
		if err != nil {
			return 0, err
		}
		value, present, err = decodeValue(key, b)
		return value, err
	})
	return value, present && err == nil, err
}

// Flush implements [core.DurableStore]. A commit with a sync makes all earlier
// commits of the database durable too. A transaction that writes nothing is not
// committed at all, so Flush writes when it was called.
func (s *Store) Flush(ctx context.Context) error {
	return s.calls.run(ctx, "flush", "", readWriteStrict, metaStore, func(_ context.Context, tx transaction) error {
		return tx.put([]byte(metaFlushed), strconv.AppendInt(nil, time.Now().UnixMilli(), 10))
	})
}
