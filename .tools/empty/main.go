// Command empty does nothing: what it costs to start it in a browser is what
// Go itself costs there.
package main

func main() {
	select {}
}
