"""httpx-sse: python with_httpx_sse.py URL. The library reads one answer; to come back is the program's."""

import sys

import httpx
from httpx_sse import connect_sse
from said import following, say

# Two and a half heartbeats. httpx would otherwise give up after 5 seconds of silence.
SILENCE_SECS = 40


def follow(headers):
    with httpx.Client(timeout=SILENCE_SECS) as client:
        with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            source.response.raise_for_status()
            yield from source.iter_sse()


for event in following(follow, httpx.HTTPError):
    say(event.event, event.data, event.id)
