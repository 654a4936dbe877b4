module github.com/holdfast-dev/holdfast

go 1.26

ignore (
	./web/bench/node_modules
	./web/node_modules
)

require (
	github.com/hack-pad/safejs v0.1.0
	github.com/vmihailenco/msgpack/v5 v5.4.1
	golang.org/x/crypto v0.43.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	golang.org/x/sys v0.37.0 // indirect
)
