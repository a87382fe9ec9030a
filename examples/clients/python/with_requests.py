"""Publishes to callout and follows a topic, with requests.

    python with_requests.py publish news 'hello, world'
    python with_requests.py follow news
"""

import os
import sys
import time
import uuid
from urllib.parse import quote

import requests

URL = os.environ.get("CALLOUT_URL", "http://127.0.0.1:8080")
TOKEN = os.environ.get("CALLOUT_PUBLISH_TOKEN")

# The server sends something every 15 s at least (`--heartbeat`). After 40 s without a byte the stream is dead.
SILENCE_SECS = 40


def publish(topic, data):
    """Publishes text and returns the event's id.

    What was not answered, or was answered 5xx, is sent again. That is safe, because the event keeps its id:
    callout publishes an id once.
    """
    query = {"id": str(uuid.uuid4())}
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    for pause_secs in (1, 2, 4, 8, 0):
        try:
            response = requests.post(topic_url(topic), params=query, data=data.encode(), headers=headers, timeout=10)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = error
        else:
            if response.ok:
                return response.json()["id"]
            reason = response.text
            if response.status_code < 500:
                break
        time.sleep(pause_secs)
    raise RuntimeError(f"failed to publish: {reason}")


def follow(topic, last_id=None):
    """Yields the events of a topic for ever, each as (id, name, data)."""
    retry_secs = 3
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with requests.get(topic_url(topic), headers=headers, stream=True, timeout=SILENCE_SECS) as response:
                # What the server refuses it will refuse again.
                if 400 <= response.status_code < 500:
                    raise RuntimeError(f"refused: {response.text}")
                response.raise_for_status()
                event = {}
                for line in response.iter_lines():
                    field, _, value = line.decode().partition(":")
                    value = value.removeprefix(" ")
                    if line:
                        event[field] = f"{event['data']}\n{value}" if field == "data" in event else value
                        continue
                    # An empty line ends an event. Only now is it whole, so only now its id counts.
                    last_id = event.get("id", last_id)
                    retry_secs = int(event.get("retry", retry_secs * 1000)) / 1000
                    if "data" in event:
                        yield last_id, event.get("event", "message"), event["data"]
                    event = {}
        except requests.RequestException as error:
            print(f"the stream broke: {error}", file=sys.stderr)
        time.sleep(retry_secs)


def topic_url(topic):
    return f"{URL}/topics/{quote(topic)}"


def main():
    match sys.argv[1:]:
        case ["publish", topic, data]:
            print(publish(topic, data))
        case ["follow", topic]:
            for _id, name, data in follow(topic):
                if name == "reset":
                    # The last id is unknown or too old: some events are lost. Load afresh what they would
                    # have changed.
                    print(f"reset: {data}", flush=True)
                else:
                    print(data if name == "message" else f"{name}: {data}", flush=True)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
