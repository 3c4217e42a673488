"""Speaks to HQ with the official client of the OpenAI API, as a program written for OpenAI would.

HQ_URL and HQ_TOKEN say where; the argument says which story: `talk`, `leave` or `tools`. The model
behind the agents answers every question with "Three tasks are open."; in `tools` it asks for the
weather of Rome and Oslo first.
"""

import json
import os
import sys

from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

ANSWER = "Three tasks are open."

base = os.environ["HQ_URL"] + "/v1"
client = OpenAI(base_url=base, api_key=os.environ["HQ_TOKEN"], max_retries=0, timeout=20)


def asked(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def fails(kind, call):
    """The error that the call ends with, which must be of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def lists_models():
    models = [model.id for model in client.models.list()]
    assert models == ["hq", "hq/default", "hq/ada"], models
    one = client.models.retrieve("hq/ada")
    assert (one.id, one.object, one.owned_by) == ("hq/ada", "model", "hq"), one


def answers_whole():
    answer = client.chat.completions.create(model="hq/default", messages=asked("What is open?"))
    assert answer.object == "chat.completion", answer
    assert answer.model == "hq/default", answer
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER), answer
    assert choice.finish_reason == "stop", answer
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0, usage


def answers_in_pieces():
    pieces, ended, usage, ids = [], None, None, set()
    for chunk in client.chat.completions.create(
        model="hq",
        messages=asked("What is open?"),
        stream=True,
        stream_options={"include_usage": True},
    ):
        assert chunk.object == "chat.completion.chunk", chunk
        ids.add(chunk.id)
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            ended = choice.finish_reason or ended
        usage = chunk.usage or usage
    assert ("".join(pieces), ended) == (ANSWER, "stop"), (pieces, ended)
    assert len(ids) == 1, ids
    assert usage and usage.total_tokens > 0, usage


def streams_with_the_helper():
    with client.chat.completions.stream(model="hq/ada", messages=asked("What is open?")) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER, final


def knows_the_alias():
    for name in ["openclaw", "openclaw/default", "openclaw:ada"]:
        answer = client.chat.completions.create(model=name, messages=asked("What is open?"))
        assert (answer.model, answer.choices[0].message.content) == (name, ANSWER), answer


def keeps_a_session_for_a_user():
    for text in ["The word is heron.", "What was the word?"]:
        client.chat.completions.create(model="hq/ada", messages=asked(text), user="mira-desk")


def responds():
    first = client.responses.create(model="hq/ada", input="The word is crane.", instructions="Short.")
    assert (first.status, first.output_text) == ("completed", ANSWER), first
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens > 0, first
    kinds, text, numbers = [], "", []
    for event in client.responses.create(
        model="hq/ada",
        input=[{"role": "user", "content": "What was that word?"}],
        previous_response_id=first.id,
        stream=True,
    ):
        kinds.append(event.type)
        numbers.append(event.sequence_number)
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == ANSWER, text
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed"), kinds
    assert numbers == list(range(len(kinds))), numbers
    create = client.responses.create
    strange = fails(
        BadRequestError,
        lambda: create(model="hq/ada", input="Hi", previous_response_id="resp_none"),
    )
    assert strange.code == "previous_response_not_found", strange.body


PICTURE = "data:image/png;base64,iVBORw0KGgpub3QgYSByZWFsIG9uZQ=="


def shows_pictures_and_files():
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "file", "file": {"filename": "fruit.csv", "file_data": "data:text/csv;base64,bWFuZ28sMwo="}},
    ]
    create = client.chat.completions.create
    answer = create(model="hq", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == ANSWER, answer
    parts = [
        {"type": "input_text", "text": "And this?"},
        {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
        {"type": "input_file", "filename": "note.md", "file_data": "data:text/markdown;base64,IyBQbHVtcwo="},
    ]
    answer = client.responses.create(model="hq", input=[{"role": "user", "content": parts}])
    assert answer.output_text == ANSWER, answer
    inside = [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}]
    refused = fails(BadRequestError, lambda: create(model="hq", messages=[{"role": "user", "content": inside}]))
    assert refused.param == "messages[0].content[0].image_url", refused.body
    assert refused.code == "urls_not_allowed", refused.body
    assert "openai.fetch_urls" in refused.message, refused


def says_what_is_wrong():
    create = client.chat.completions.create
    unknown = fails(NotFoundError, lambda: create(model="hq/nobody", messages=asked("Hi")))
    assert (unknown.code, unknown.param) == ("model_not_found", "model"), unknown.body
    assert "nobody" in unknown.message, unknown
    fails(NotFoundError, lambda: client.models.retrieve("gpt-4o"))
    empty = fails(BadRequestError, lambda: create(model="hq/default", messages=[]))
    assert empty.param == "messages" and empty.type == "invalid_request_error", empty.body
    tools = [{"type": "function", "function": {"name": "no name", "parameters": {}}}]
    own = fails(BadRequestError, lambda: create(model="hq", messages=asked("Hi"), tools=tools))
    assert own.param == "tools[0].function.name", own.body
    odd = fails(BadRequestError, lambda: create(model="hq", messages="no list"))
    assert "messages" in odd.message or "body" in odd.message, odd
    stranger = OpenAI(base_url=base, api_key="hq_pat_wrong", max_retries=0, timeout=20)
    wrong = fails(AuthenticationError, lambda: stranger.models.list())
    assert wrong.type == "authentication_error", wrong.body
    question = asked("Hi")
    fails(
        AuthenticationError,
        lambda: stranger.chat.completions.create(model="hq", messages=question, stream=True),
    )


def talk():
    lists_models()
    answers_whole()
    answers_in_pieces()
    streams_with_the_helper()
    knows_the_alias()
    responds()
    shows_pictures_and_files()
    says_what_is_wrong()
    keeps_a_session_for_a_user()


def leave():
    """Hangs up as soon as the first words are there."""
    stream = client.chat.completions.create(model="hq", messages=asked("Slowly"), stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()


WARM = "Rome is warmer."
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city, now",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def degrees(arguments):
    return {"Rome": "21", "Oslo": "4"}[json.loads(arguments)["city"]]


def calls_tools_in_chats():
    tools = [{"type": "function", "function": WEATHER}]
    for streams in [False, True]:
        messages = asked("Where is it warmer?")
        for turn in range(2):
            if streams:
                with client.chat.completions.stream(
                    model="hq/ada", messages=messages, tools=tools
                ) as stream:
                    choice = stream.get_final_completion().choices[0]
            else:
                answer = client.chat.completions.create(model="hq/ada", messages=messages, tools=tools)
                choice = answer.choices[0]
            if turn == 1:
                assert (choice.finish_reason, choice.message.content) == ("stop", WARM), choice
                continue
            assert choice.finish_reason == "tool_calls", choice
            calls = choice.message.tool_calls
            assert [call.function.name for call in calls] == ["get_weather"] * 2, calls
            kept = [call.model_dump(include={"id", "type", "function"}) for call in calls]
            for call in kept:
                call["function"].pop("parsed_arguments", None)
            messages.append({"role": "assistant", "content": None, "tool_calls": kept})
            for call in calls:
                result = degrees(call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def calls_tools_in_responses():
    tools = [{"type": "function", **WEATHER}]
    first = client.responses.create(model="hq/ada", input="Where is it warmer?", tools=tools)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2 and first.status == "completed", first
    outputs = [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": degrees(call.arguments),
        }
        for call in calls
    ]
    second = client.responses.create(
        model="hq/ada", previous_response_id=first.id, input=outputs, tools=tools
    )
    assert second.output_text == WARM and second.id != first.id, second
    arguments, done = {}, []
    for event in client.responses.create(
        model="hq/ada", input="Where is it warmer?", tools=tools, stream=True
    ):
        if event.type == "response.function_call_arguments.delta":
            arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
        if event.type == "response.output_item.done":
            done.append(event.item)
    assert [item.arguments for item in done] == list(arguments.values()), (done, arguments)
    assert [degrees(item.arguments) for item in done] == ["21", "4"], done


def tools():
    calls_tools_in_chats()
    calls_tools_in_responses()


{"talk": talk, "leave": leave, "tools": tools}[sys.argv[1]]()
