package idbstore

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// Open opens the database of this name in the IndexedDB of the page or worker,
// and creates it if it is absent.
//
// Errors, all with a code: [core.ErrInvalidArgument] for a bad name or a
// database that is not Holdfast's; [core.ErrBlocked] when another tab keeps it
// from opening until the timeout; [core.ErrUnsupportedVersion] when a newer
// release wrote it; [core.ErrCorrupt] when its identity is damaged;
// [core.ErrStoreReset], once, when it was emptied since the page last had it
// open; [core.ErrStorageUnavailable] when the browser cannot open it, and
// [core.ErrQuotaExceeded] when it has no room even to note that a reset was
// reported.
func Open(ctx context.Context, database string, options Options) (*Store, error) {
	if err := core.CheckName("open", database); err != nil {
		return nil, err
	}
	engine, err := newJSEngine(database, options.DefaultDurability)
	if err != nil {
		return nil, &core.Error{Code: core.ErrStorageUnavailable, Op: "open", Err: err,
			Detail: "there is no IndexedDB here; use a browser, and a page with an origin, or in a test open({ storage: \"memory\" })"}
	}
	return start(ctx, engine, options.Timeout)
}
