// tmaxmax/go-sse: tmaxmax URL
package main

import (
	"fmt"
	"net/http"
	"os"

	"callout.test/clients/handed"
	"github.com/tmaxmax/go-sse"
)

func main() {
	request, err := http.NewRequest(http.MethodGet, os.Args[1], nil)
	if err != nil {
		panic(err)
	}
	connection := sse.NewConnection(request)
	say := func(event sse.Event) {
		handed.Say(event.Type, event.Data, event.LastEventID)
	}
	// `SubscribeToAll` would hand out what is no message too.
	connection.SubscribeMessages(say)
	connection.SubscribeEvent("changed", say)
	connection.SubscribeEvent("reset", say)
	// It ends only when it is refused.
	fmt.Fprintln(os.Stderr, connection.Connect())
}
