"""Publishes to callout and follows a topic, with httpx and httpx-sse.

    python with_httpx.py publish news 'hello, world'
    python with_httpx.py follow news
"""

import asyncio
import os
import sys
import uuid
from urllib.parse import quote

import httpx
from httpx_sse import aconnect_sse

URL = os.environ.get("CALLOUT_URL", "http://127.0.0.1:8080")
TOKEN = os.environ.get("CALLOUT_PUBLISH_TOKEN")

# The server sends something every 15 s at least (`--heartbeat`). After 40 s without a byte the stream is dead.
SILENCE_SECS = 40


async def publish(client, topic, data):
    """Publishes text and returns the event's id.

    What was not answered, or was answered 5xx, is sent again. That is safe, because the event keeps its id:
    callout publishes an id once.
    """
    query = {"id": str(uuid.uuid4())}
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    for pause_secs in (1, 2, 4, 8, 0):
        try:
            response = await client.post(topic_url(topic), params=query, content=data, headers=headers)
        except httpx.TransportError as error:
            reason = error
        else:
            if response.is_success:
                return response.json()["id"]
            reason = response.text
            if response.status_code < 500:
                break
        await asyncio.sleep(pause_secs)
    raise RuntimeError(f"failed to publish: {reason}")


async def follow(client, topic, last_id=None):
    """Yields the events of a topic for ever."""
    retry_millis = 3000
    timeout = httpx.Timeout(10, read=SILENCE_SECS)
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            async with aconnect_sse(client, "GET", topic_url(topic), headers=headers, timeout=timeout) as source:
                # What the server refuses it will refuse again.
                if source.response.is_client_error:
                    await source.response.aread()
                    raise RuntimeError(f"refused: {source.response.text}")
                source.response.raise_for_status()
                async for event in source.aiter_sse():
                    last_id = event.id or last_id
                    retry_millis = event.retry or retry_millis
                    # httpx-sse also hands out the opening of the stream, which is an id and a retry, and
                    # heartbeats. They have no data.
                    if event.data:
                        yield event
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            print(f"the stream broke: {error}", file=sys.stderr)
        await asyncio.sleep(retry_millis / 1000)


def topic_url(topic):
    return f"{URL}/topics/{quote(topic)}"


async def main():
    async with httpx.AsyncClient() as client:
        match sys.argv[1:]:
            case ["publish", topic, data]:
                print(await publish(client, topic, data))
            case ["follow", topic]:
                async for event in follow(client, topic):
                    if event.event == "reset":
                        # The last id is unknown or too old: some events are lost. Load afresh what they
                        # would have changed.
                        print(f"reset: {event.data}", flush=True)
                    else:
                        print(event.data if event.event == "message" else f"{event.event}: {event.data}", flush=True)
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    asyncio.run(main())
