package idbstore

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
)

// databaseVersion never changes: an upgrade would have to wait until every
// other tab has closed the database. The records say what format they have.
const databaseVersion = 1

// jsEngine opens one IndexedDB database.
type jsEngine struct {
	name    string
	factory safejs.Value    // indexedDB
	ranges  safejs.Value    // IDBKeyRange
	options [4]safejs.Value // of transaction(), by mode
	binary  binaryValues    // bytes to JavaScript and back
	// writing is the Set holdfastWriting, in which a page finds the transactions
	// that write, to abort them when the program has died: else what it was about to
	// refuse would commit by itself. It may be undefined.
	writing safejs.Value
	memory  jsMemory
	page    lifecycle
	missed  func() // see listen; nil before

	appender      *jsAppender  // nil where the page offers none
	recordsName   safejs.Value // recordsStore as a JavaScript string
	directoryName safejs.Value // directoryStore
}

func newJSEngine(name string, defaultDurability bool) (*jsEngine, error) {
	e := &jsEngine{name: name}
	global := safejs.Global()
	var err error
	for property, target := range map[string]*safejs.Value{
		"indexedDB": &e.factory, "IDBKeyRange": &e.ranges, "self": &e.page.scope, "Uint8Array": &e.binary.array,
		"holdfastPack": &e.binary.pack, "holdfastWriting": &e.writing,
	} {
		if *target, err = global.Get(property); err != nil {
			return nil, failureOf(err)
		}
		if target == &e.binary.pack || target == &e.writing {
			continue // only these may be missing
		}
		if target.IsUndefined() || target.IsNull() {
			return nil, &engineError{unexpectedFailure, property + " is not defined"}
		}
	}
	durability := map[mode]string{readOnly: "default", readWrite: "strict", readWriteStrict: "strict", readWriteIdle: "default"}
	if defaultDurability {
		durability[readWrite] = "default"
	}
	for m, d := range durability {
		if e.options[m], err = safejs.ValueOf(map[string]any{"durability": d}); err != nil {
			return nil, failureOf(err)
		}
	}
	if e.memory, err = newJSMemory(name); err != nil {
		return nil, failureOf(err)
	}
	if e.appender, err = newJSAppender(); err != nil {
		return nil, failureOf(err)
	}
	if e.recordsName, err = safejs.ValueOf(recordsStore); err != nil {
		return nil, failureOf(err)
	}
	e.directoryName, err = safejs.ValueOf(directoryStore)
	return e, failureOf(err)
}

// frozen implements engine.
func (e *jsEngine) frozen() bool { return e.page.frozen }

// open implements engine. While a deletion of the database is blocked, an open
// request of the same version waits after it without an event; ctx ends that
// wait.
func (e *jsEngine) open(ctx context.Context) (database, error) {
	request, err := e.factory.Call("open", e.name, databaseVersion)
	if err != nil {
		return nil, failureOf(err)
	}
	o := &opening{engine: e, request: request, done: make(chan struct{})}
	if err := o.listen(); err != nil {
		return nil, err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		o.abandoned = true
		return nil, cause(ctx)
	}
	if o.err != nil {
		return nil, o.err
	}
	if err := o.db.identify(ctx); err != nil {
		o.db.close()
		return nil, err
	}
	return o.db, nil
}

// opening is an open request under way. Its fields change only in callbacks of
// the browser, which never run at the same time.
type opening struct {
	engine    *jsEngine
	request   safejs.Value
	handlers  listeners
	db        *jsDatabase
	err       error
	done      chan struct{}
	abandoned bool // open has returned
}

func (o *opening) listen() error {
	return o.handlers.listen(o.request, map[string]func(event safejs.Value){
		"onupgradeneeded": func(safejs.Value) {
			if err := o.create(); err != nil {
				o.err = err
				if tx, err := o.request.Get("transaction"); err == nil {
					_, _ = tx.Call("abort") // ends in onerror
				}
			}
		},
		"onsuccess": func(safejs.Value) {
			if db, err := o.request.Get("result"); err != nil {
				o.err = failureOf(err)
			} else {
				o.db, o.err = newJSDatabase(o.engine, db)
			}
			o.finish()
		},
		"onerror": func(safejs.Value) {
			if o.err == nil {
				o.err = errorProperty(o.request)
			}
			o.finish()
		},
	})
}

func (o *opening) finish() {
	o.handlers.release()
	if o.abandoned && o.db != nil {
		o.db.close()
	}
	close(o.done)
}

// create makes the object stores of a new database, and writes its identity.
func (o *opening) create() error {
	db, err := o.request.Get("result")
	if err != nil {
		return failureOf(err)
	}
	var meta safejs.Value // the last one
	for _, name := range objectStores {
		if meta, err = db.Call("createObjectStore", name); err != nil {
			return failureOf(err)
		}
		if name != directoryStore {
			continue
		}
		for _, index := range []string{recentIndex, dueIndex} {
			if _, err := meta.Call("createIndex", index, index); err != nil {
				return failureOf(err)
			}
		}
	}
	epoch := strconv.FormatUint(rand.Uint64()|1<<63, 16) + strconv.FormatUint(rand.Uint64()|1<<63, 16)
	for _, entry := range []struct{ key, value string }{
		{metaFormat, strconv.Itoa(formatVersion)},
		{metaEpoch, epoch},
		{metaCreated, strconv.FormatInt(time.Now().UnixMilli(), 10)},
	} {
		value, err := o.engine.binary.toJS([]byte(entry.value))
		if err != nil {
			return err
		}
		key, err := o.engine.binary.toJS([]byte(entry.key))
		if err != nil {
			return err
		}
		if _, err := meta.Call("put", value, key); err != nil {
			return failureOf(err)
		}
	}
	return nil
}

// jsDatabase is a connection.
type jsDatabase struct {
	engine   *jsEngine
	db       safejs.Value
	id       identity
	gone     bool
	handlers listeners
	idle     []*jsTransaction // that have ended; their handlers serve the next
}

func newJSDatabase(e *jsEngine, db safejs.Value) (*jsDatabase, error) {
	d := &jsDatabase{engine: e, db: db}
	err := d.handlers.listen(db, map[string]func(safejs.Value){
		// Another tab wants to delete the database or bring a newer version.
		"onversionchange": func(safejs.Value) { d.leave() },
		// The browser has closed it: site data cleared, or the disk failed.
		"onclose": func(safejs.Value) { d.leave() },
	})
	return d, err
}

// leave closes the connection because of something that others have done: who
// follows what they do has to look.
func (d *jsDatabase) leave() {
	d.close()
	if e := d.engine; e.missed != nil && !e.page.frozen {
		e.missed()
	}
}

// identify reads the identity of the database, if it is Holdfast's. One of another
// format may have other object stores.
func (d *jsDatabase) identify(ctx context.Context) error {
	names, err := d.db.Get("objectStoreNames")
	if err != nil {
		return failureOf(err)
	}
	missing := "" // the last one, which is meta if that is
	for _, name := range objectStores {
		if there, err := names.Call("contains", name); err != nil || !there.Equal(jsTrue) {
			missing = name
		}
	}
	var format, epoch []byte
	if missing != metaStore {
		if format, epoch, err = d.said(ctx); err != nil {
			return err
		}
	}
	d.id, err = decodeIdentity(format, epoch)
	if missing == "" || err == nil && d.id.format != formatVersion {
		return err
	}
	text, err := d.engine.recall(ctx)
	if err != nil {
		return err
	}
	if _, ours := decodeMemory(text); ours {
		return &core.Error{Code: core.ErrCorrupt, Detail: "the database has lost its object store " + missing}
	}
	return &engineError{foreignDatabase, "it has no object store " + missing}
}

// said returns what the database says of itself.
func (d *jsDatabase) said(ctx context.Context) (format, epoch []byte, err error) {
	tx, err := d.begin(readOnly, metaStore)
	if err != nil {
		return nil, nil, err
	}
	askedFormat, askedEpoch := tx.get([]byte(metaFormat)), tx.get([]byte(metaEpoch))
	if format, err = askedFormat.wait(ctx); err == nil {
		epoch, err = askedEpoch.wait(ctx)
	}
	return format, epoch, err
}

func (d *jsDatabase) identity() identity { return d.id }

func (d *jsDatabase) canAppend() bool { return d.engine.appender != nil }

func (d *jsDatabase) lost() bool { return d.gone }

func (d *jsDatabase) close() {
	if d.gone {
		return
	}
	d.gone = true
	_, _ = d.db.Call("close") // does not fail (Indexed Database API 3.0, 4.4)
	d.handlers.release()
	for _, tx := range d.idle {
		tx.handlers.release()
	}
	d.idle = nil
}
