"""What each program here prints: what the library handed it, as one JSON object a line."""

import json
import sys
import time

# What a program waits that was never told a `retry`.
RETRY_SECS = 1


def say(name, data, event_id):
    print(json.dumps({"name": name or "message", "data": data, "id": event_id}), flush=True)


def again(reason):
    """The library has ended, and the program starts it anew."""
    print(json.dumps({"again": str(reason)}), flush=True)


def following(follow, on_error):
    """Follows for ever. `follow` is given the last id, and yields events that have `id` and `retry`."""
    last_id, retry_secs = None, RETRY_SECS
    while True:
        reason = "the stream ended"
        try:
            for event in follow({"Last-Event-ID": last_id} if last_id else {}):
                last_id = event.id or last_id
                retry_secs = int(event.retry) / 1000 if event.retry else retry_secs
                yield event
        except on_error as error:
            reason = error
        again(reason)
        time.sleep(retry_secs)
