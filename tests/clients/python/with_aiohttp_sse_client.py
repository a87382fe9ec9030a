"""aiohttp-sse-client: python with_aiohttp_sse_client.py URL

It comes back by itself only after a clean end, and only when it is answered at the first try.
"""

import asyncio
import sys

import aiohttp
from aiohttp_sse_client.client import EventSource
from said import RETRY_SECS, again, say

# aiohttp would otherwise end the request after 5 minutes.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=40)


async def main():
    headers = {}
    while True:
        try:
            async with EventSource(sys.argv[1], headers=headers, timeout=TIMEOUT) as source:
                async for event in source:
                    say(event.type, event.data, event.last_event_id)
                    headers["Last-Event-Id"] = event.last_event_id
            reason = "the stream ended"
        except (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError) as error:
            reason = error
        again(reason)
        await asyncio.sleep(RETRY_SECS)


asyncio.run(main())
