package idbstore

import (
	"context"
	"errors"

	"github.com/hack-pad/safejs"
)

// jsMemory keeps a text outside the database, in one place. That is a file of
// the origin private file system (File System, https://fs.spec.whatwg.org,
// section 4), which the operating system has once it is closed; and it is
// localStorage, which the browser writes when it likes, where files cannot be
// written so.
//
// What the browser has decides between them, and never what has failed: with a
// second place for when the first one fails, nobody could tell which of the two
// is the older one.
type jsMemory struct {
	name    string       // of the file, or in localStorage
	files   safejs.Value // navigator.storage; undefined where localStorage is the place
	storage safejs.Value // localStorage; undefined in a worker, or where the user blocks it
}

func newJSMemory(database string) (jsMemory, error) {
	global := safejs.Global()
	m := jsMemory{files: safejs.Undefined(), storage: safejs.Undefined()}
	// A name of a file has no slash.
	name, err := global.Call("encodeURIComponent", "holdfast:"+database)
	if err != nil {
		return m, err
	}
	if m.name, err = name.String(); err != nil {
		return m, err
	}
	files := at(global, "navigator", "storage")
	if at(files, "getDirectory").Type() == safejs.TypeFunction &&
		at(global, "FileSystemFileHandle", "prototype", "createWritable").Type() == safejs.TypeFunction {
		m.files = files
	} else {
		m.storage = at(global, "localStorage")
	}
	return m, nil
}

// at follows a path of properties. It is undefined where that ends before.
func at(v safejs.Value, path ...string) safejs.Value {
	for _, property := range path {
		var err error
		if v, err = v.Get(property); err != nil {
			return safejs.Undefined()
		}
	}
	return v
}

// recall implements engine.
func (e *jsEngine) recall(ctx context.Context) (text string, err error) {
	m := e.memory
	switch {
	case m.files.Type() == safejs.TypeObject:
		for range maxTries { // another tab may replace the file while it is read
			if text, err = m.read(ctx); err == nil {
				break
			}
		}
		return text, err
	case m.storage.Type() == safejs.TypeObject:
		v, err := m.storage.Call("getItem", m.name)
		if err != nil || v.IsNull() {
			return "", failureOf(err)
		}
		return v.String()
	}
	return "", nil
}

// remember implements engine.
func (e *jsEngine) remember(ctx context.Context, text string) error {
	m := e.memory
	switch {
	case m.files.Type() == safejs.TypeObject:
		return m.write(ctx, text)
	case m.storage.Type() == safejs.TypeObject:
		_, err := m.storage.Call("setItem", m.name, text)
		return failureOf(err)
	}
	return nil
}

// read returns nothing if there is no file.
func (m jsMemory) read(ctx context.Context) (string, error) {
	file, err := m.open(ctx, false)
	var failure *engineError
	if errors.As(err, &failure) && failure.name == notFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if file, err = await(ctx, file, "getFile"); err != nil {
		return "", err
	}
	text, err := await(ctx, file, "text")
	if err != nil {
		return "", err
	}
	return text.String()
}

// write replaces the file, as a whole or not at all.
func (m jsMemory) write(ctx context.Context, text string) error {
	file, err := m.open(ctx, true)
	if err != nil {
		return err
	}
	stream, err := await(ctx, file, "createWritable")
	if err != nil {
		return err
	}
	if _, err = await(ctx, stream, "write", text); err != nil {
		return err // and the stream is of no more use
	}
	_, err = await(ctx, stream, "close")
	return err
}

func (m jsMemory) open(ctx context.Context, create bool) (safejs.Value, error) {
	directory, err := await(ctx, m.files, "getDirectory")
	if err != nil {
		return directory, err
	}
	return await(ctx, directory, "getFileHandle", m.name, map[string]any{"create": create})
}

// await calls a method of v and waits for what it promises.
func await(ctx context.Context, v safejs.Value, method string, args ...any) (safejs.Value, error) {
	if v.Type() != safejs.TypeObject {
		return v, &engineError{unexpectedFailure, method + " is not there"}
	}
	promise, err := v.Call(method, args...)
	if err != nil {
		return v, failureOf(err)
	}
	var settled listeners
	var result safejs.Value
	done := make(chan error, 1)
	settle := func(value safejs.Value, err error) {
		settled.release()
		result = value
		done <- err
	}
	if err := settled.make(map[string]func(safejs.Value){
		"kept":   func(value safejs.Value) { settle(value, nil) },
		"broken": func(reason safejs.Value) { settle(reason, describe(reason)) },
	}); err != nil {
		return v, err
	}
	if _, err := promise.Call("then", settled.fn("kept"), settled.fn("broken")); err != nil {
		settled.release()
		return v, failureOf(err)
	}
	select {
	case err := <-done:
		return result, err
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}
