"""sseclient-py with requests: python with_sseclient.py URL. The library reads one answer; to come back is the program's."""

import sys

import requests
import sseclient
from said import following, say


def follow(headers):
    with requests.get(sys.argv[1], stream=True, headers=headers) as response:
        response.raise_for_status()
        yield from sseclient.SSEClient(response).events()


for event in following(follow, requests.RequestException):
    say(event.event, event.data, event.id)
