// Publishes to callout and follows a topic, with the standard library.
//
//	go run . publish news 'hello, world'
//	go run . follow news
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The server sends something every 15 s at least (`--heartbeat`). After 40 s without a line the stream is dead.
const silence = 40 * time.Second

type Event struct {
	ID, Name, Data string
}

// Refused is what the server would answer again.
type Refused struct {
	Reason string
}

func (refused Refused) Error() string { return "refused: " + refused.Reason }

// Publish publishes text and returns the event's id. What was not answered, or was answered 5xx, is sent again.
// That is safe, because the event keeps its id: callout publishes an id once.
func Publish(ctx context.Context, topic, data string) (id string, err error) {
	var key [16]byte
	rand.Read(key[:])
	to := topicURL(topic) + "?id=" + hex.EncodeToString(key[:])
	for _, pause := range []time.Duration{1, 2, 4, 8, 0} {
		id, err = publishOnce(ctx, to, data)
		if _, refused := err.(Refused); err == nil || refused {
			return id, err
		}
		time.Sleep(pause * time.Second)
	}
	return "", err
}

func publishOnce(ctx context.Context, to, data string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", to, strings.NewReader(data))
	if err != nil {
		return "", err
	}
	if token := os.Getenv("CALLOUT_PUBLISH_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if err := check(response); err != nil {
		return "", err
	}
	var published struct{ ID string }
	err = json.NewDecoder(response.Body).Decode(&published)
	return published.ID, err
}

// Follow calls handle for each event of a topic, until the server refuses or ctx is done.
func Follow(ctx context.Context, topic, lastID string, handle func(Event)) error {
	retry := 3 * time.Second
	for {
		err := followOnce(ctx, topic, &lastID, &retry, handle)
		if _, refused := err.(Refused); refused {
			return err
		}
		fmt.Fprintln(os.Stderr, "the stream broke:", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry):
		}
	}
}

func followOnce(ctx context.Context, topic string, lastID *string, retry *time.Duration, handle func(Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(silence, cancel)
	defer watch.Stop()
	request, err := http.NewRequestWithContext(ctx, "GET", topicURL(topic), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if *lastID != "" {
		request.Header.Set("Last-Event-ID", *lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := check(response); err != nil {
		return err
	}
	id, name, data := *lastID, "message", []string(nil)
	// A bufio.Scanner would give up on a line of more than 64 KB.
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		watch.Reset(silence)
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = append(data, value)
		case "retry":
			if millis, err := strconv.Atoi(value); err == nil {
				*retry = time.Duration(millis) * time.Millisecond
			}
		}
		// An empty line ends an event; a comment has no field either. Only now is it whole, so only now its
		// id counts.
		if line == "\n" {
			*lastID = id
			if data != nil {
				handle(Event{id, name, strings.Join(data, "\n")})
			}
			name, data = "message", nil
		}
	}
}

// check returns an error unless the answer is 200. It is Refused where asking again would not help.
func check(response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode < 500 {
		return Refused{string(body)}
	}
	return fmt.Errorf("%s: %s", response.Status, body)
}

func topicURL(topic string) string {
	base := os.Getenv("CALLOUT_URL")
	if base == "" {
		base = "http://127.0.0.1:8080"
	}
	return base + "/topics/" + url.PathEscape(topic)
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "publish":
		id, err := Publish(ctx, arguments[1], arguments[2])
		if err == nil {
			fmt.Println(id)
		}
		return err
	case len(arguments) == 2 && arguments[0] == "follow":
		return Follow(ctx, arguments[1], "", func(event Event) {
			switch event.Name {
			case "reset":
				// The last id is unknown or too old: some events are lost. Load afresh what they would have
				// changed.
				fmt.Println("reset:", event.Data)
			case "message":
				fmt.Println(event.Data)
			default:
				fmt.Printf("%s: %s\n", event.Name, event.Data)
			}
		})
	}
	return fmt.Errorf("usage: publish TOPIC DATA, or follow TOPIC")
}
