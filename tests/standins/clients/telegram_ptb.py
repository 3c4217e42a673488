"""The unmodified python-telegram-bot against the stand-in: telegram_ptb.py URL"""

import asyncio
import json
import sys
import urllib.request

import telegram
from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, Conflict, RetryAfter
from telegram.ext import Application, CallbackQueryHandler, CommandHandler, MessageHandler, filters

URL = sys.argv[1]
TOKEN = "111111:ptb_0123456789abcdefghijABCDEFGHIJ"
CHAT = {"id": 11, "type": "private", "first_name": "Ann"}
ANN = {"id": 11, "is_bot": False, "first_name": "Ann", "username": "ann"}


def control(what, **params):
    body = json.dumps({"token": TOKEN, **params}).encode()
    request = urllib.request.Request(f"{URL}/control/{what}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


async def main():
    control("bot", id=7, name="Ada", handle="ada_bot")
    seen = asyncio.Queue()

    async def heard(update, _context):
        await seen.put(update)

    builder = Application.builder().token(TOKEN).base_url(f"{URL}/bot").base_file_url(f"{URL}/file/bot")
    # The second connection is for two polls at once.
    app = builder.get_updates_connection_pool_size(2).build()
    app.add_handler(CommandHandler("start", heard))
    app.add_handler(CallbackQueryHandler(heard))
    app.add_handler(MessageHandler(filters.TEXT, heard))
    async with app:
        bot = app.bot
        assert bot.username == "ada_bot" and (await bot.get_webhook_info()).url == ""
        await app.start()
        await app.updater.start_polling(timeout=20)

        for text in ["/start@ada_bot code", "Grüße 😀"]:
            control("say", chat=CHAT, **{"from": ANN}, text=text)
            update = await asyncio.wait_for(seen.get(), 10)
            assert update.message.text == text and update.effective_user.id == 11

        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="yes")]])
        bold = telegram.MessageEntity("bold", 0, 2)
        sent = await bot.send_message(11, "😀 <b>", entities=[bold], reply_markup=keys)
        assert sent.text == "😀 <b>" and sent.entities[0].length == 2 and sent.from_user.id == 7
        edited = await sent.edit_text("two")
        assert edited.text == "two" and edited.message_id == sent.message_id
        for wrong in [edited.edit_text("two"), bot.send_message(11, "x" * 4097)]:
            try:
                await wrong
                raise AssertionError("was accepted")
            except BadRequest as err:
                print("refused:", err.message[:40])

        control("press", chat=CHAT, **{"from": ANN}, message_id=sent.message_id, data="yes")
        update = await asyncio.wait_for(seen.get(), 10)
        assert update.callback_query.data == "yes" and update.callback_query.message.text == "two"
        assert await update.callback_query.answer("Done")

        document = await bot.send_document(11, b"content", filename="ü.txt", caption="file")
        file = await document.document.get_file()
        assert bytes(await file.download_as_bytearray()) == b"content"
        assert await bot.send_chat_action(11, "typing")
        assert await bot.set_my_commands([("stop", "Stop the run")])
        assert (await bot.get_my_commands())[0].command == "stop"

        control("fail", method="sendMessage", status=429, description="Too Many Requests: retry after 3", retry_after=3)
        try:
            await bot.send_message(11, "x")
            raise AssertionError("was accepted")
        except RetryAfter as err:
            print("refused:", err.message)
        await app.updater.stop()
        # The later of two polls ends the other one.
        polls = [bot.get_updates(timeout=1), bot.get_updates(timeout=1)]
        polls = await asyncio.gather(*polls, return_exceptions=True)
        assert sum(isinstance(poll, Conflict) for poll in polls) == 1 and () in polls, polls
        await app.stop()
    methods = [sent["method"] for sent in control("sent")]
    assert methods == ["sendMessage", "editMessageText", "answerCallbackQuery", "sendDocument"], methods
    print("ok")


asyncio.run(main())
