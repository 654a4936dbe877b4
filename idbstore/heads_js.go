package idbstore

import (
	"context"

	"github.com/hack-pad/safejs"
)

// jsMemory keeps a text outside the database: in a file of the origin private
// file system (File System, https://fs.spec.whatwg.org, section 4), which the
// operating system has once it is closed. Where there is none, or no room, it
// is kept in localStorage, which the browser writes when it likes.
type jsMemory struct {
	name    string       // of the file, and in localStorage
	files   safejs.Value // navigator.storage
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
	if navigator, err := global.Get("navigator"); err == nil && navigator.Type() == safejs.TypeObject {
		m.files, err = navigator.Get("storage")
		if err != nil {
			return m, err
		}
	}
	if storage, err := global.Get("localStorage"); err == nil && storage.Type() == safejs.TypeObject {
		m.storage = storage
	}
	return m, nil
}

// recall implements engine.
func (e *jsEngine) recall(ctx context.Context) []string {
	var texts []string
	if text, err := e.memory.read(ctx); err == nil {
		texts = append(texts, text)
	}
	if !e.memory.storage.IsUndefined() {
		v, err := e.memory.storage.Call("getItem", e.memory.name)
		if err == nil && v.Type() == safejs.TypeString {
			if text, err := v.String(); err == nil {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// remember implements engine.
func (e *jsEngine) remember(ctx context.Context, text string) {
	if e.memory.write(ctx, text) != nil && !e.memory.storage.IsUndefined() {
		_, _ = e.memory.storage.Call("setItem", e.memory.name, text) // it may be full
	}
}

func (m jsMemory) read(ctx context.Context) (string, error) {
	file, err := m.open(ctx, false)
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
