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
	connection.SubscribeToAll(func(event sse.Event) {
		handed.Say(event.Type, event.Data, event.LastEventID)
	})
	// It ends only when it is refused.
	fmt.Fprintln(os.Stderr, connection.Connect())
}
