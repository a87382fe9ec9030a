// r3labs/sse: r3labs URL. It ends after a clean end, as after a drain; then the program starts it anew.
package main

import (
	"os"
	"time"

	"callout.test/clients/handed"
	"github.com/r3labs/sse/v2"
)

func main() {
	// The client keeps the last id.
	client := sse.NewClient(os.Args[1])
	for {
		err := client.SubscribeRaw(func(event *sse.Event) {
			handed.Say(string(event.Event), string(event.Data), string(event.ID))
		})
		handed.Again(err)
		time.Sleep(time.Second)
	}
}
