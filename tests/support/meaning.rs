//! A generated embedding model for tests: words of a group have the same meaning, other words have none.

use serde_json::{Map, Value, json};

/// Vector length, and thereby the limit of groups.
const WIDTH: usize = 16;
const INNER: usize = 16;
const POSITIONS: usize = 256;

/// The three files of a model in which the words of each group have the same vector: `config.json`, `tokenizer.json`
/// and `model.safetensors`. Its layer adds nothing, so a text's vector is the mean of its words' vectors.
///
/// Formats: files of BERT models as written by `transformers` and `tokenizers`.
#[must_use]
pub fn model(groups: &[&[&str]]) -> [(&'static str, Vec<u8>); 3] {
    assert!(groups.len() < WIDTH, "a vector has no more numbers");
    let mut vocabulary = Map::from_iter([("[UNK]".to_owned(), json!(0))]);
    let mut words = vec![0.0_f32; WIDTH];
    for (group, same) in groups.iter().enumerate() {
        for word in *same {
            vocabulary.insert((*word).to_owned(), json!(vocabulary.len()));
            let mut row = [0.0; WIDTH];
            row[group] = 1.0;
            words.extend(row);
        }
    }
    let size = vocabulary.len();
    let config = json!({
        "model_type": "bert", "vocab_size": size, "hidden_size": WIDTH, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": INNER, "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": { "type": "Lowercase" }, "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    let bytes = |value: &Value| serde_json::to_vec(value).expect("JSON");
    [
        ("config.json", bytes(&config)),
        ("tokenizer.json", bytes(&tokenizer)),
        ("model.safetensors", weights(size, &words)),
    ]
}

/// All weights are zero, except those of words and norms.
fn weights(size: usize, words: &[f32]) -> Vec<u8> {
    let (mut header, mut numbers) = (Map::new(), Vec::new());
    let mut add = |name: &str, shape: &[usize], values: &[f32]| {
        let from = numbers.len();
        numbers.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry =
            json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, numbers.len()] });
        header.insert(name.to_owned(), entry);
    };
    let zeros = |shape: &[usize]| vec![0.0; shape.iter().product()];
    let embeddings = |part: &str| format!("embeddings.{part}_embeddings.weight");
    add(&embeddings("word"), &[size, WIDTH], words);
    add(&embeddings("position"), &[POSITIONS, WIDTH], &zeros(&[POSITIONS, WIDTH]));
    add(&embeddings("token_type"), &[2, WIDTH], &zeros(&[2, WIDTH]));
    let layer = |part: &str| format!("encoder.layer.0.{part}");
    let norms = [
        "embeddings.LayerNorm".to_owned(),
        layer("attention.output.LayerNorm"),
        layer("output.LayerNorm"),
    ];
    for norm in norms {
        add(&format!("{norm}.weight"), &[WIDTH], &[1.0; WIDTH]);
        add(&format!("{norm}.bias"), &[WIDTH], &[0.0; WIDTH]);
    }
    let square = [WIDTH, WIDTH];
    let dense = [
        ("attention.self.query", square),
        ("attention.self.key", square),
        ("attention.self.value", square),
        ("attention.output.dense", square),
        ("intermediate.dense", [INNER, WIDTH]),
        ("output.dense", [WIDTH, INNER]),
    ];
    for (part, shape) in dense {
        add(&format!("{}.weight", layer(part)), &shape, &zeros(&shape));
        add(&format!("{}.bias", layer(part)), &shape[..1], &zeros(&shape[..1]));
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(numbers);
    file
}
