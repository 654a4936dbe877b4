package idbstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

// fail gives err the operation and the stream, and a code if it has none.
func (c *calls) fail(op, stream string, err error) error {
	var typed *core.Error
	var failure *engineError
	switch {
	case errors.As(err, &typed):
		named := *typed
		named.Op, named.Stream = op, stream
		err = &named
	case errors.Is(err, core.ErrBlocked):
		err = &core.Error{Code: core.ErrBlocked, Op: op, Stream: stream, Err: errTimeout,
			Detail: fmt.Sprintf("nothing was written within %v; another tab may be holding the database, so close other tabs or try again", c.timeout)}
	case errors.As(err, &failure):
		err = &core.Error{Code: codeOf(failure), Op: op, Stream: stream, Err: err, Detail: advice(failure)}
	case core.CodeOf(err) == core.ErrCancelled:
		err = &core.Error{Code: core.ErrCancelled, Op: op, Stream: stream, Err: err, Detail: "nothing was written"}
	}
	switch core.CodeOf(err) {
	case core.ErrClosed, core.ErrCancelled, core.ErrInvalidArgument, core.ErrSequenceConflict, core.ErrCursorRegression, core.ErrOutOfRange:
	default:
		c.mu.Lock()
		c.last = err
		c.mu.Unlock()
	}
	return err
}

// codeOf returns the code of an engine error.
func codeOf(e *engineError) core.Code {
	switch e.name {
	case constraintError: // `add` has found its key taken
		return core.ErrSequenceConflict
	case quotaExceeded:
		return core.ErrQuotaExceeded
	case dataError, dataCloneError, foreignDatabase:
		return core.ErrInvalidArgument
	case versionError:
		return core.ErrUnsupportedVersion
	case unknownError:
		if strings.Contains(e.message, "Corruption") { // Chromium with SQLite
			return core.ErrCorrupt
		}
	}
	return core.ErrStorageUnavailable
}

// advice says what has happened, and what the user can do.
func advice(e *engineError) string {
	switch codeOf(e) {
	case core.ErrQuotaExceeded:
		return "the browser has no room for this origin, and nothing was written; delete conversations or ask the user to free space"
	case core.ErrInvalidArgument:
		if e.name == foreignDatabase {
			return "a database of this name exists and is not Holdfast's; choose another name"
		}
		return "the browser refused the data, and nothing was written"
	case core.ErrCorrupt:
		return "the browser has found its own files damaged"
	case core.ErrUnsupportedVersion:
		return "a newer release has written the database; update Holdfast"
	default:
		return fmt.Sprintf("the browser's storage failed, opened at most %d times; try again, or check private mode, disk and permissions", maxTries)
	}
}

// definite reports whether an abort with this error proves that nothing was
// written. Other aborts after the call of commit happen when a browser loses
// its storage process, and then the commit may have been carried out.
func (e *engineError) definite() bool {
	switch e.name {
	case quotaExceeded, constraintError, dataError, dataCloneError:
		return true
	}
	return false
}

// connectionFailed reports whether a new connection may help against err. It
// may against every engine error that has no better explanation.
func connectionFailed(err error) bool {
	var failure *engineError
	if !errors.As(err, &failure) {
		return false
	}
	return unreadable(codeOf(failure))
}

// unreadable reports whether damage to what was read may have caused err.
func unreadable(err error) bool {
	return errors.Is(err, core.ErrStorageUnavailable) || errors.Is(err, core.ErrCorrupt)
}

func unknownOutcome(cause error) error {
	return &core.Error{Code: core.ErrOutcomeUnknown, Err: cause,
		Detail: "the commit was sent and its result was not seen; read back what is stored"}
}

// errTimeout is the cause of [core.ErrBlocked].
var errTimeout = errors.New("the storage did not answer in time")
