"""discord.py against the stand-in: messages, buttons, resume. Usage: discord_py.py URL"""

import asyncio
import json
import sys
import urllib.request

import discord
import discord.gateway
import discord.http
import yarl

URL = sys.argv[1]
TOKEN = "standin.discord.token"
ROOM = 3000


def control(what, **params):
    body = json.dumps(params).encode()
    request = urllib.request.Request(f"{URL}/control/{what}", data=body, method="POST")
    return json.loads(urllib.request.urlopen(request).read() or b"null")


discord.http.Route.BASE = f"{URL}/api/v10"
gateway = yarl.URL(URL.replace("http", "ws") + "/gateway/")
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway


class Client(discord.Client):
    async def on_ready(self):
        assert self.get_channel(ROOM).name == "room-3000"
        await asyncio.to_thread(control, "say", channel=str(ROOM), user="7", text="hello")

    async def on_message(self, message):
        if message.author == self.user:
            return
        if message.content == "again":
            await message.reply("done")
            print("ok")
            return await self.close()
        assert message.content == "hello" and message.author.id == 7
        view = discord.ui.View()
        button = discord.ui.Button(label="Yes", custom_id="yes")
        button.callback = self.pressed
        view.add_item(button)
        sent = await message.channel.send("go?", view=view, nonce="n1")
        await sent.edit(content="go!")
        found = [m async for m in message.channel.history(limit=5)]
        assert found[0].content == "go!" and found[1].content == "hello", found
        await asyncio.to_thread(
            control, "press", channel=str(ROOM), message=str(sent.id), user="7", text="yes"
        )

    async def pressed(self, interaction):
        await interaction.response.defer()
        await interaction.followup.send("noted", ephemeral=True)
        await asyncio.to_thread(control, "close", code=4000)

    async def on_resumed(self):
        await asyncio.to_thread(control, "say", channel=str(ROOM), user="7", text="again")


async def main():
    intents = discord.Intents(guilds=True, messages=True, message_content=True)
    await asyncio.wait_for(Client(intents=intents).start(TOKEN), 60)


asyncio.run(main())
