package core

import "context"

// DurableStore keeps streams, which are append-only sequences of payloads, and
// numeric values that change by compare-and-swap. The suite in package
// storetest checks this contract; the names follow the trait DurableStore of
// the crate liminal-rs.
//
// Names of streams and keys are subject to [CheckName] and are ordered by the
// bytes of their UTF-8. All methods may be called concurrently, from one
// process or from several tabs that share a store: each is atomic, and appends
// to one stream are linearizable. A store never keeps a reference to a slice it
// is given and never hands out one that it keeps.
//
// A nil error means what the method says, never that the outcome is unknown.
// Every error has a [Code]; [Code.Outcome] says whether a write may have
// happened. All methods but Close return [ErrClosed] once the store is closed.
//
// A cancelled context makes a write abort and wait for the abort. The write
// then returns [ErrCancelled] if nothing was written, or [ErrOutcomeUnknown] if
// the commit had already been sent.
//
// What not every store can do has an interface of its own below. A conversation
// asks the store that it was given for these, and no store within it: one that
// wraps another implements each of them that it means to offer, with the same
// care as Append. What it leaves out is lost without an error.
type DurableStore interface {
	// Append adds payloads, all or none, at the head of stream if that is
	// expectedSeq, and returns the sequence of the first. An absent stream has
	// head 0. Nil means committed: the entries outlive the process to the
	// degree that the store is configured for.
	//
	// Another head gives a [*SequenceConflictError]. Other errors are those of
	// [CheckWrites], [ErrQuotaExceeded], [ErrOutcomeUnknown], and those of an
	// unusable store.
	Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error)

	// ReadFrom returns the entries of stream from sequence offset on, in
	// order, at most limit of them, fewer only where the stream ends or once
	// their payloads amount to [MaxReadBytes]. An absent stream has none; of a
	// deleted stream the first entry is the tombstone, whatever the offset
	// before it. Missing or damaged records within the range give [ErrGap] or
	// [ErrCorrupt], never a shorter answer.
	ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]Entry, error)

	// ReadAt returns the entry at sequence, and whether there is one. Before a
	// tombstone there is none.
	ReadAt(ctx context.Context, stream string, sequence uint64) (Entry, bool, error)

	// Scan returns all entries of all streams whose name begins with prefix,
	// ordered by name, then by sequence. Deleted streams show their tombstone.
	Scan(ctx context.Context, prefix string) ([]Entry, error)

	// CompareAndSwap sets key to newValue if its value is oldValue, where an
	// absent key has the value 0; setting 0 removes the key. Another value
	// gives a [*CursorRegressionError].
	CompareAndSwap(ctx context.Context, key string, oldValue, newValue uint64) error

	// ReadValue returns the value of key, and whether it is present.
	ReadValue(ctx context.Context, key string) (uint64, bool, error)

	// Streams returns name and head of every stream that has entries and whose
	// name begins with prefix, ordered by name. A deleted stream is one of them
	// again from its first append after the deletion. A stream of which a
	// [Witness] has to report that all entries are lost is one of them too, with
	// the head 0.
	Streams(ctx context.Context, prefix string) ([]StreamInfo, error)

	// Delete removes all entries of stream and puts a tombstone in their
	// place, which takes the next sequence. Sequences are thus never used
	// twice, and a writer that still holds the old head gets a conflict. An
	// absent or deleted stream is left as it is; at the head [MaxSequence]
	// there is no sequence left for a tombstone: [ErrOutOfRange].
	Delete(ctx context.Context, stream string) error

	// Flush makes everything committed before the call safe against a crash of
	// the machine, also where the store is configured for less.
	Flush(ctx context.Context) error

	// Close waits for the calls under way and releases the store. Closing
	// twice is no error.
	Close() error
}

// Entry is one event of a stream, as stored.
type Entry struct {
	Stream   string
	Sequence uint64 // its place in the stream, from 0, without gaps
	// Timestamp is when the store took it, in milliseconds since the Unix
	// epoch; informative, not ordered.
	Timestamp int64
	Payload   []byte // opaque; the reader owns it
	// Tombstone marks where the stream was deleted: the entries before it are
	// gone, and it has no payload. See [DurableStore.Delete].
	Tombstone bool
}

// StreamInfo names a stream and its head.
type StreamInfo struct {
	Name string
	Head uint64 // the sequence that the next entry gets
	// Summary says, to a watcher of a [Directory], that the summary has changed
	// with the head, or was deleted.
	Summary bool
}

// Write is what a store adds to a stream: Payloads, at the head, if that is
// Expected.
type Write struct {
	Stream   string
	Expected uint64
	Payloads [][]byte // at least one
	// Time is the [Entry].Timestamp of what is added; 0 leaves it to the store.
	Time uint64
	// Summary is that of the stream with what is added, for a [Directory] to keep
	// in place of the one before; nil leaves that as it is.
	Summary *Summary
}

// Beginner is implemented by stores that can append without a caller that waits,
// and to several streams at once.
type Beginner interface {
	// Begin begins what [DurableStore].Append does, for one write or for several
	// to as many streams: all of them are committed, or none. It does not wait.
	//
	// ended is called once, after Begin has returned, with the error that Append
	// would have returned; if heads differ, that of one of the streams. An error
	// comes on a goroutine of its own; nil comes from what reports the commit to
	// the store, so ended must be quick then.
	Begin(ctx context.Context, ended func(error), writes ...Write)
}

// Directory is implemented by stores that keep a [Summary] of each stream: what
// a list of conversations shows, and which of them have work to do. [Beginner].Begin
// puts it in the transaction that adds what changes it, and [DurableStore].Delete
// deletes it with the stream, in one step. The log is the truth: [Recover] mends
// a summary that differs from it.
type Directory interface {
	Beginner
	// List returns summaries. One that is damaged is left out. A stream of which a
	// [Witness] has to report that all is lost has one with nothing but its ID,
	// which is not found by IDs. Errors are those of [CheckListing] and of an
	// unusable store.
	List(ctx context.Context, listing Listing) ([]Summary, error)
	// Due returns the streams with a prefix that are ready, the one with the latest
	// [Summary].Updated first, and then those that are due at a time or before, by
	// ascending [Summary].Due; of all these the first [MaxDue]. It also returns when
	// the next one with that prefix is due after that time; 0 for never. A stream
	// whose summary cannot be read may be among them: to recover it mends that.
	Due(ctx context.Context, prefix string, until uint64) (streams []string, next uint64, err error)
	// Mend puts the summary of a stream, or removes it if that is nil, if the head
	// of the stream is as given; otherwise it does nothing and returns nil.
	// Watchers hear of it, as of a write.
	Mend(ctx context.Context, stream string, head uint64, summary *Summary) error
}

// Summary is what a list of conversations shows of one, so that nobody has to
// read its log. Times are in milliseconds since the Unix epoch. A [Directory]
// keeps it.
type Summary struct {
	ID      string
	Created uint64 // when its first event was appended
	Updated uint64 // when a message was last received or ended; at first Created
	// Unfinished is how many messages are [Message.Pending], and Waiting how many
	// of these are parked.
	Unfinished, Waiting int
	// Ready says that a message can be worked on at once. Due is when the first of
	// those that wait goes on by itself; 0 for never.
	Ready bool
	Due   uint64
	// Metadata is what [State.Metadata] returns.
	Metadata Metadata
}

// Listing says which summaries a [Directory] returns, and in which order.
type Listing struct {
	// Prefix is what their ids begin with.
	Prefix string
	// Recent says that they are ordered by [Summary].Updated, the last one first,
	// and among equal ones by id. Otherwise they are ordered by id alone.
	Recent bool
	// After is the last summary of the part before, whose ID and Updated count;
	// nil for the first part.
	After *Summary
	// Limit is how many there are, at most: 1 to [MaxListing].
	Limit int
	// IDs, if not nil, are of what to return the summaries, in this order, as far
	// as they are there; then the fields above do not count.
	IDs []string
}

// Timed is implemented by stores whose calls end at a deadline. A store that
// wraps another one passes it on.
type Timed interface {
	// WithDeadline returns ctx with the deadline of a call that begins now. A
	// call of the store with that context has no later deadline, so that all
	// that a conversation does and waits for within one call ends in time. The
	// cause of that end, see [context.Cause], is [ErrBlocked] itself.
	WithDeadline(ctx context.Context) (context.Context, context.CancelFunc)
}

// Watcher is implemented by stores that can report when the head of a stream
// has moved, also through another tab.
type Watcher interface {
	// Watch calls fn after every commit that moves a head, also through the
	// store itself, until stop is called or the store is closed. An empty Name
	// means that any stream may have moved: notices were missed, for example
	// while the page was frozen.
	//
	// Calls may be late, repeated, out of order or at the same time, and one
	// may still be running when stop returns, so fn compares Head with what it
	// knows. fn must return quickly and must not call the store.
	Watch(fn func(StreamInfo)) (stop func())
}

// Snapshotter is implemented by stores that can keep one snapshot for each
// stream: bytes that save a replay. Nothing depends on it: a store may lose a
// snapshot or keep an older one, and the reader checks that it is whole and of
// this stream.
type Snapshotter interface {
	// SaveSnapshot keeps snapshot, in place of the one before, as what the
	// entries of stream before sequence amount to. If the last of these is not
	// there, because stream was deleted or is shorter, it keeps nothing and
	// returns nil.
	//
	// Nil does not promise durability. An append never waits for a snapshot.
	// Errors are those of [CheckSnapshot] and of an unusable store.
	SaveSnapshot(ctx context.Context, stream string, sequence uint64, snapshot []byte) error

	// ReadSnapshot returns the snapshot saved last, nil if there is none.
	// [DurableStore.Delete] deletes it with the stream, in one step.
	ReadSnapshot(ctx context.Context, stream string) ([]byte, error)
}

// Inspector is implemented by stores that can read past damage.
type Inspector interface {
	// Inspect reads a part of stream from sequence offset on, at least one
	// record if there is any, and changes nothing. What is neither among the
	// entries nor damaged is missing; an end that was lost is damage, as far as
	// the store remembers it. Errors are those of [DurableStore].ReadFrom, but
	// for damage.
	Inspect(ctx context.Context, stream string, offset uint64) (Inspection, error)
}

// Witness is implemented by stores that remember, apart from what they store,
// how far streams have come: a browser that has lost the end of its files does
// not report it.
type Witness interface {
	// LostEnd returns how far stream had come, if that is further than head,
	// where it ends now, and else 0. It reports a loss until it is told that the
	// caller goes on with what is left, in this and in later lives of the store.
	// It does not look at the stream, and nothing may depend on it: it may know
	// nothing, or an earlier head.
	LostEnd(stream string, head uint64, goesOn bool) (reached uint64)
}

// Inspection is a part of a stream.
type Inspection struct {
	Entries []Entry  // those that can be read, in order
	Damage  []Damage // what cannot be read, in order, between and around them
	// End is where the next part begins. At the end of the stream it is the
	// offset that was asked for.
	End uint64
}

// Damage is a range of sequences of a log that cannot be read. Neighbours that
// are damaged in the same way are one.
type Damage struct {
	From, To uint64 // the first and the last sequence
	// Code is [ErrGap] for what is not there, [ErrCorrupt] for what is damaged,
	// [ErrUnsupportedVersion] for what another release has written.
	Code   Code
	Detail string // of the first of them
}

// Locker is implemented by stores that have locks of their own; for other
// stores, [Lease] makes a lock. A lock decides which holder works, not what is
// true: the log has the last word, so a holder that does not notice the loss of
// its lock does no harm.
type Locker interface {
	// Lock waits until it holds the lock called name, or until ctx ends. Of
	// everything that shares the store, also in other tabs, one holds it at a
	// time. It is free again when the holder releases it, or ends in any way.
	Lock(ctx context.Context, name string) (Lock, error)
	// TryLock is Lock, but returns nil at once if the lock is not free.
	TryLock(ctx context.Context, name string) (Lock, error)
	// Locked reports whether anybody holds that lock at this moment, here or
	// in another tab.
	Locked(ctx context.Context, name string) (bool, error)
}

// Lock is a lock that is held.
type Lock interface {
	// Lost is closed when the lock was taken away from its holder, for
	// example while its tab was frozen.
	Lost() <-chan struct{}
	// Held waits until the lock is held, and reports whether it is before ctx
	// ends: its holder may have given it up for a time, as a tab does that is
	// frozen. After the end of ctx it reports at once whether it is held now. A
	// lost lock is never held again.
	Held(ctx context.Context) bool
	// Release gives the lock up, at once or in the background. Releasing a
	// lost lock, or twice, does no harm.
	Release()
}
