module github.com/holdfast-dev/holdfast

go 1.26

ignore ./web/node_modules

require github.com/hack-pad/safejs v0.1.0
