// Package handed prints what a library handed its program, as one JSON object a line.
package handed

import (
	"encoding/json"
	"os"
)

var out = json.NewEncoder(os.Stdout)

// Say prints an event.
func Say(name, data, id string) {
	if name == "" {
		name = "message"
	}
	out.Encode(map[string]string{"name": name, "data": data, "id": id})
}

// Again says that the library has ended, and that the program starts it anew.
func Again(reason error) {
	text := "the stream ended"
	if reason != nil {
		text = reason.Error()
	}
	out.Encode(map[string]string{"again": text})
}
