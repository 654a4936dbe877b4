package core

import "context"

// ReadBatch is the number of entries that a replay reads at a time.
const ReadBatch = readBatch

// Write appends several payloads at the expected sequence, and settles.
func (c *Conversation) Write(ctx context.Context, payloads ...[]byte) error {
	return c.write(ctx, c.ExpectedSeq(), payloads...)
}

// GroupBytes bounds the events that are appended together.
const GroupBytes = groupBytes
