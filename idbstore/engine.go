package idbstore

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// The object stores of the database.
const (
	recordsStore   = "records"
	valuesStore    = "values"
	snapshotsStore = "snapshots"
	directoryStore = "directory"
	metaStore      = "meta"
	// These are for a transaction over several of them. Its requests go to the
	// first, unless [transaction.in] says otherwise.
	recordsAndDirectory = recordsStore + " " + directoryStore
	allOfStreams        = recordsStore + " " + snapshotsStore + " " + directoryStore
)

// objectStores are those of the database.
var objectStores = []string{recordsStore, valuesStore, snapshotsStore, directoryStore, metaStore}

// The indexes of directory, and the properties of its values that they are of.
// A value without the property is not in the index.
const (
	recentIndex = "recent"
	dueIndex    = "due"
)

// engine is the set of IndexedDB steps that the store is made of. Its only real
// implementation is in engine_js.go.
type engine interface {
	// open opens the database and creates it if it is absent. It gives up when
	// ctx ends.
	open(ctx context.Context) (database, error)
	// listen joins the other tabs that have the database open. received gets
	// what they post. missed is called when posts may have been lost, and
	// hidden when the page is hidden, after which it may end without another
	// call.
	listen(received func(message []byte), missed, hidden func()) (peers, error)
	// recall returns the text that remember has kept outside the database, also
	// in other tabs and in earlier lives of the page. It is empty if there is
	// none, or no place for it.
	recall(ctx context.Context) (string, error)
	// remember keeps text in place of what it kept before, wholly or not at all.
	// It is over when it returns, unless ctx has ended. Where there is no place
	// for it, it does nothing.
	remember(ctx context.Context, text string) error
	// lock takes a lock that it shares with the other tabs: it waits for it, or
	// returns nil if that is not free. known is false where there are no locks.
	lock(ctx context.Context, name string, waits bool) (lock core.Lock, known bool, err error)
	// locked reports whether anybody holds that lock; known as before.
	locked(ctx context.Context, name string) (held, known bool, err error)
	// frozen reports whether the page is frozen: then the database does not
	// answer, and a transaction keeps all other tabs from writing.
	frozen() bool
}

// peers are the other tabs which have the database open.
type peers interface {
	// post sends them a message, which may be lost.
	post(message []byte)
	// slow reports whether the timers of the page are slow, as in a hidden
	// page.
	slow() bool
	close()
}

// database is one connection.
type database interface {
	// begin starts a transaction over one object store, or over several whose
	// names are separated by spaces. An error is an [*engineError], and nothing
	// was started.
	begin(mode mode, store string) (transaction, error)
	// lost reports whether the browser has closed the connection.
	lost() bool
	// close closes the connection once its transactions are done.
	close()
	// identity is what the database contained about itself when it was opened.
	identity() identity
}

// appender is implemented by a database that can carry out an append in one
// step.
type appender interface {
	// canAppend reports whether it really can.
	canAppend() bool
	// appendRecord starts a transaction that adds value at key if the head is
	// as expected, see headIs, and aborts otherwise. It also puts summary, unless
	// that is nil, under the stream's name. heads is the range from the key of the
	// expected head on; first means that there must be none. An error is an
	// [*engineError], and nothing was started.
	appendRecord(heads keyRange, first bool, key, value []byte, summary *listed) (appending, error)
}

// appending is the transaction of an append.
type appending interface {
	// wait is that of transaction. It returns errHeadMoved if the head was not
	// as expected.
	wait(ctx context.Context) error
	// then has fn called once, at the end, with what wait returns from then on.
	then(fn func(error))
	// commitFailed reports whether the commit had been asked for, after an end
	// with an [*engineError].
	commitFailed() bool
	// abort undoes the append unless its commit was asked for, and reports
	// whether it was.
	abort() (committing bool)
}

// mode is what a transaction may do, and how hard its commit is pushed.
type mode int

const (
	readOnly mode = iota
	// readWrite commits as durably as the engine was configured.
	readWrite
	// readWriteStrict commits with a sync to disk.
	readWriteStrict
	// readWriteIdle leaves the sync to the browser: for what loses nothing
	// when a power cut undoes it.
	readWriteIdle
)

// transaction is an IndexedDB transaction. Requests are carried out in the
// order of the calls. Between two calls only answers of the same transaction
// may be waited for: the browser commits a transaction that has nothing to do
// (Indexed Database API 3.0, section 2.7.1).
type transaction interface {
	// keys asks for the first limit keys of a range, in order.
	keys(r keyRange, limit int) answer[[][]byte]
	// values asks for the first limit values of a range, in the order of keys.
	values(r keyRange, limit int) answer[[][]byte]
	// last asks for the last key of a range; nil if there is none.
	last(r keyRange) answer[[]byte]
	// get asks for the value at key; nil if there is none.
	get(key []byte) answer[[]byte]
	// add inserts; a key that is there makes the transaction abort.
	add(key, value []byte) error
	// put inserts or replaces.
	put(key, value []byte) error
	// remove deletes a range.
	remove(r keyRange) error
	// in returns the same transaction for requests to another of its stores.
	in(store string) (transaction, error)

	// listed asks for the first limit values of a range of directory, in order.
	listed(r keyRange, limit int) answer[[]listed]
	// list inserts or replaces a value of directory.
	list(name string, value *listed) error
	// by returns the same transaction for reads of directory in the order of an
	// index: a range is then one of the index, while keys are still those of the
	// values.
	by(index string) (transaction, error)

	// commit asks for the commit. No request may follow.
	commit() error
	// abort asks to undo everything. It is harmless when the transaction is
	// over.
	abort()
	// wait returns once the transaction is over: nil after the event
	// `complete`, an [*engineError] after the event `abort`, cause(ctx) when
	// ctx ends first, and then the end of the transaction is not known.
	wait(ctx context.Context) error
}

// answer is the result of a request, to be waited for. The error is an
// [*engineError], or cause(ctx) when ctx ends first.
type answer[T any] interface {
	wait(ctx context.Context) (T, error)
}

// engineError is a failure of a step, with the name of the DOMException.
type engineError struct{ name, message string }

func (e *engineError) Error() string { return e.name + ": " + e.message }

// Names of exceptions that the store distinguishes (Web IDL, section 3.14.1).
const (
	abortError        = "AbortError"
	constraintError   = "ConstraintError"
	dataError         = "DataError"
	dataCloneError    = "DataCloneError"
	quotaExceeded     = "QuotaExceededError"
	versionError      = "VersionError"
	unknownError      = "UnknownError"
	notReadable       = "NotReadableError"
	notFound          = "NotFoundError"
	foreignDatabase   = "HoldfastForeignDatabase" // ours: the object stores are not there
	unexpectedFailure = "HoldfastUnexpected"      // ours: an answer of an impossible kind
)

// errClosing is the cause of a context that ends with the store.
var errClosing = &core.Error{Code: core.ErrClosed, Detail: "the store was closed; open it again"}

// cause returns why ctx has ended. If it was the caller who ended it, the error
// is that of ctx: the cause that the caller gave says nothing of the storage.
func cause(ctx context.Context) error {
	switch why := context.Cause(ctx); why {
	case error(core.ErrBlocked), error(errClosing):
		return why
	default:
		return ctx.Err()
	}
}
