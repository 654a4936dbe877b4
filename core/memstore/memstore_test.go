package memstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Storage {
		memory := memstore.New()
		return func(testing.TB) core.DurableStore { return memory.Share() }
	})
}

func TestNewMemoriesShareNothing(t *testing.T) {
	one, two := memstore.New(), memstore.New()
	if _, err := one.Append(t.Context(), "chat", 0, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if entries, err := two.Scan(t.Context(), ""); err != nil || len(entries) > 0 {
		t.Fatalf("the other memory has %d entries, error %v", len(entries), err)
	}
}

func TestArgumentsAreCheckedFirstThenContextThenClosed(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	store := memstore.New()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(ctx context.Context, name string) error{
		"append": func(ctx context.Context, name string) error {
			_, err := store.Append(ctx, name, 1, []byte("a"))
			return err
		},
		"read": func(ctx context.Context, name string) error {
			_, err := store.ReadFrom(ctx, name, 0, 1)
			return err
		},
		"read at": func(ctx context.Context, name string) error {
			_, _, err := store.ReadAt(ctx, name, 0)
			return err
		},
		"scan": func(ctx context.Context, name string) error {
			_, err := store.Scan(ctx, name)
			return err
		},
		"streams": func(ctx context.Context, name string) error {
			_, err := store.Streams(ctx, name)
			return err
		},
		"compare-and-swap": func(ctx context.Context, name string) error {
			return store.CompareAndSwap(ctx, name, 1, 2)
		},
		"read value": func(ctx context.Context, name string) error {
			_, _, err := store.ReadValue(ctx, name)
			return err
		},
		"delete": func(ctx context.Context, name string) error {
			return store.Delete(ctx, name)
		},
	} {
		if err := call(cancelled, "\x00"); !errors.Is(err, core.ErrInvalidArgument) {
			t.Errorf("%s with a bad argument, cancelled, closed: %v", name, err)
		}
		if err := call(cancelled, "chat"); !errors.Is(err, core.ErrCancelled) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s cancelled, closed: %v", name, err)
		}
		if err := call(t.Context(), "chat"); !errors.Is(err, core.ErrClosed) {
			t.Errorf("%s closed: %v", name, err)
		}
	}
}

func TestCloseEndsTheWatchesOfItsHandle(t *testing.T) {
	one := memstore.New()
	two := one.Share()
	var heardOne, heardTwo int
	one.Watch(func(core.StreamInfo) { heardOne++ })
	stop := two.Watch(func(core.StreamInfo) { heardTwo++ })
	appendAt := func(head uint64) {
		t.Helper()
		if _, err := two.Append(t.Context(), "chat", head, nil); err != nil {
			t.Fatal(err)
		}
	}
	appendAt(0)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	one.Watch(func(core.StreamInfo) { heardOne++ })()
	appendAt(1)
	stop()
	stop()
	appendAt(2)
	if heardOne != 1 || heardTwo != 2 {
		t.Fatalf("the handles heard %d and %d times, want 1 and 2", heardOne, heardTwo)
	}
}

func TestDeleteOfNothingIsNotAnnounced(t *testing.T) {
	store := memstore.New()
	store.Watch(func(moved core.StreamInfo) { t.Errorf("heard %+v", moved) })
	if err := store.Delete(t.Context(), "absent"); err != nil {
		t.Fatal(err)
	}
}
