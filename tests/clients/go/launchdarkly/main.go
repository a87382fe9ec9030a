// launchdarkly/eventsource: launchdarkly URL
package main

import (
	"fmt"
	"os"
	"time"

	"callout.test/clients/handed"
	"github.com/launchdarkly/eventsource"
)

// Two and a half heartbeats. Without it a dead connection is never noticed.
const silence = 40 * time.Second

func main() {
	stream, err := eventsource.SubscribeWithURL(os.Args[1],
		eventsource.StreamOptionReadTimeout(silence),
		// Without a handler, whoever does not read the channel of errors stops the stream at the first.
		eventsource.StreamOptionErrorHandler(func(err error) eventsource.StreamErrorHandlerResult {
			fmt.Fprintln(os.Stderr, err)
			return eventsource.StreamErrorHandlerResult{}
		}))
	if err != nil {
		panic(err)
	}
	for event := range stream.Events {
		handed.Say(event.Event(), event.Data(), event.Id())
	}
}
