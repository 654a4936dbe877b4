package main

import (
	"context"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

// The stores of this program are of the kind.
func (b *bridge) directory() core.Directory { return b.store.(core.Directory) }

// summaries returns seven values of each summary in turn, the last of which is null
// where there are no metadata. The first argument has ids
// separated by zeros, or else is undefined, and the others say which part is meant.
func (b *bridge) summaries(ctx context.Context, args arguments) (any, error) {
	l := core.Listing{Prefix: args.text(1), Recent: args.flag(2), Limit: args.number(5)}
	if ids := args.text(0); ids != "" {
		l.IDs = strings.Split(ids, "\x00")
	}
	if id := args.text(3); id != "" {
		l.After = &core.Summary{ID: id, Updated: uint64(args.number(4))}
	}
	found, err := b.directory().List(ctx, l)
	if err != nil {
		return nil, err
	}
	flat := make([]any, 0, 7*len(found))
	for _, s := range found {
		var metadata any
		if s.Metadata != (core.Metadata{}) {
			if metadata, err = bytesToJS(s.Metadata.Packed()); err != nil {
				return nil, err
			}
		}
		flat = append(flat, s.ID, s.Created, s.Updated, s.Unfinished, s.Waiting, dueOf(s.Ready, s.Due), metadata)
	}
	return flat, nil
}

// dueOf returns when there is something to do: -1 for now, 0 for never, or a time.
func dueOf(now bool, due uint64) any {
	if now {
		return -1
	}
	return due
}

// watch calls the host's function with the id of each conversation whose summary
// has changed, and with "" where that may be any, until unwatch.
func (b *bridge) watch(args arguments) (any, error) {
	changed := args.value(0)
	b.unwatched = b.store.(core.Watcher).Watch(func(moved core.StreamInfo) {
		if moved.Summary || moved.Name == "" {
			_, _ = changed.Invoke(moved.Name) // the host's callback does not throw
		}
	})
	return nil, nil
}

func (b *bridge) unwatch(arguments) (any, error) {
	b.unwatched()
	return nil, nil
}
