"""Makes the fixture `tiny/`: a BERT of two layers with random weights, and what `transformers` says that the sentence
vectors of some texts are. Run once, with torch and transformers; the result is committed:

    python3 make_tiny.py tiny
"""

import json
import string
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

POSITIONS = 64
WORDS = """the a an and of to in is it that for on with as by this be are was at from or not have has
invoice customer paid late sends asks meeting agent note task week friday about our price new""".split()
ENDS = ["s", "ed", "ing", "ly", "er", "est", "ion"]
TEXTS = [
    "The customer paid the invoice late.",
    "An agent sends a note about the meeting",
    "",
    "price",
    "Überraschung: CAFÉ 42,50 € — naïve?",
    "日本 and 東京",
    "[MASK] unknownwordwithoutend \u2603 \u0000\u200b zero",
    "meetings, meeting; MEETING! " * 3,
    "the agent asks for the price of a new task this week and " * 40,
    " ".join(string.ascii_lowercase),
]


def tokenizer():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_lowercase + string.digits)
    pieces = special + list(".,;:!?-") + letters + ["##" + x for x in letters] + WORDS
    pieces += ["##" + x for x in ENDS if len(x) > 1]
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    made.add_special_tokens(special)
    return made, len(vocabulary)


def main(folder):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(7)
    words, size = tokenizer()
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.4,
    )
    model = BertModel(config).eval()
    with torch.no_grad():
        # Fresh models have biases of zero and norms of one, which would hide that one is left out.
        for name, values in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                values.add_(torch.randn_like(values) * 0.2)
    model.save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    cases = []
    for text in TEXTS:
        one = wrapped(text, truncation=True, max_length=POSITIONS, return_tensors="pt")
        with torch.no_grad():
            states = model(**one).last_hidden_state[0]
        unit = lambda vector: torch.nn.functional.normalize(vector, dim=0).tolist()
        cases.append({
            "text": text,
            "tokens": len(words.encode(text, add_special_tokens=False).ids),
            "first": unit(states[0]),
            "mean": unit(states.mean(dim=0)),
        })
    # As files of published models have it; a reader must not be led by it.
    words.enable_truncation(max_length=16)
    words.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    words.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "expected.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")


main(Path(sys.argv[1]))
