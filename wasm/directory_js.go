package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// The stores of this program are of the kind.
func (b *bridge) directory() core.Directory { return b.store.(core.Directory) }

// summaries returns six values of each summary in turn. The first argument has ids
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
	flat := make([]any, 0, 6*len(found))
	for _, s := range found {
		flat = append(flat, s.ID, s.Created, s.Updated, s.Unfinished, s.Waiting, s.Due)
	}
	return flat, nil
}

// due returns when a conversation with a prefix can be worked on, as pending does of
// one. Of the time of the first that is due later others may be the reason.
func (b *bridge) due(ctx context.Context, args arguments) (any, error) {
	streams, next, err := b.directory().Due(ctx, uint64(time.Now().UnixMilli()))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(streams, func(id string) bool { return strings.HasPrefix(id, args.text(0)) }) {
		return -1, nil
	}
	return next, nil
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
