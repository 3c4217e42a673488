# The client of the protocol's authors against HQ's own server. Arguments: the address, "auto" or "legacy". HQ_TOKEN is the token.
import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url, mode):
    headers = {"Authorization": f"Bearer {os.environ['HQ_TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"task_create", "task_list"} <= names, names
            made = await client.call_tool("task_create", {"title": f"Measure hall 7 ({mode})"})
            assert not made.is_error, made
            found = await client.call_tool("task_list", {})
            assert f"Measure hall 7 ({mode})" in found.content[0].text, found
            refused = await client.call_tool("task_create", {"title": 7})
            assert refused.is_error, refused
    print("ok")


asyncio.run(main(*sys.argv[1:]))
