"""Speaks to HQ with the official client of the OpenAI API, as a program written for OpenAI would.

HQ_URL and HQ_TOKEN say where; the default agent must have a model (practice will do).
"""

import os

from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

base = os.environ["HQ_URL"] + "/v1"
client = OpenAI(base_url=base, api_key=os.environ["HQ_TOKEN"], max_retries=0, timeout=20)
question = [{"role": "user", "content": "What is open?"}]


def fails(kind, call):
    """The error that the call ends with, which must be of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


models = [model.id for model in client.models.list()]
assert "hq/default" in models, models
assert client.models.retrieve("hq/default").owned_by == "hq"

whole = client.chat.completions.create(model="hq/default", messages=question)
assert whole.object == "chat.completion", whole
assert whole.choices[0].message.role == "assistant"
assert whole.choices[0].message.content, whole
assert whole.choices[0].finish_reason == "stop"
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

text, ended, usage = "", None, None
for chunk in client.chat.completions.create(
    model="hq", messages=question, stream=True, stream_options={"include_usage": True}
):
    assert chunk.object == "chat.completion.chunk", chunk
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
        ended = chunk.choices[0].finish_reason or ended
    usage = chunk.usage or usage
assert text and ended == "stop", (text, ended)
assert usage and usage.total_tokens > 0, usage

alias = client.chat.completions.create(model="openclaw", messages=question)
assert alias.choices[0].message.content

unknown = fails(
    NotFoundError, lambda: client.chat.completions.create(model="hq/nobody", messages=question)
)
assert "nobody" in str(unknown), unknown
fails(BadRequestError, lambda: client.chat.completions.create(model="hq/default", messages=[]))
stranger = OpenAI(base_url=base, api_key="hq_pat_wrong", max_retries=0, timeout=20)
fails(AuthenticationError, lambda: stranger.models.list())

print("the official client is content")
