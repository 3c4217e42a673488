//! Model folders, and vectors compared with those of `transformers` (see `tests/make_tiny.py`).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{FILES, MODELS, Model, Pooling, Refused, Terms, inspect, load};

pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny")
}

/// A copy of the tiny model, to be damaged.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in FILES {
        fs::copy(tiny().join(file), folder.path().join(file)).expect("a copy");
    }
    folder
}

fn terms(pooling: Pooling) -> Terms {
    Terms {
        name: "tiny".to_owned(),
        pooling,
        query_prefix: String::new(),
        passage_prefix: String::new(),
    }
}

fn confirmed(folder: &Path, pooling: Pooling) -> Model {
    inspect(folder).expect("three files").confirmed(terms(pooling))
}

#[test]
fn a_folder_tells_what_it_holds() {
    let found = inspect(&tiny()).expect("three files");
    assert_eq!(found.known, None);
    assert_eq!((found.shape.width, found.shape.layers, found.shape.positions), (32, 2, 64));
    let model = found.confirmed(terms(Pooling::Mean));
    assert_eq!((model.dimensions(), model.max_tokens), (32, 64));
    assert_ne!(model.id, found.confirmed(terms(Pooling::First)).id);
    let terms_of_query = Terms { query_prefix: "query: ".to_owned(), ..terms(Pooling::Mean) };
    assert_ne!(model.id, found.confirmed(terms_of_query).id);
}

#[test]
fn models_are_bound_to_their_commit_and_to_the_bytes_of_tokenizer_and_weights() {
    for model in MODELS {
        let revision = model.revision.expect("a commit");
        assert_eq!(revision.len(), 40, "{}", model.name);
        assert_eq!(model.id, format!("{}@{}", model.name, &revision[..12]));
        assert!(model.max_tokens <= model.shape.positions);
        let names = model.files.map(|file| file.name);
        assert_eq!(names, FILES);
        assert!(model.files[1..].iter().all(|file| file.sha256.is_some()));
    }
    assert_ne!(MODELS[0].id, MODELS[1].id);
}

#[test]
fn what_is_not_there_or_could_run_code_is_named() {
    for file in FILES {
        let folder = copy();
        fs::remove_file(folder.path().join(file)).expect("removed");
        assert_eq!(inspect(folder.path()), Err(Refused::Missing { file }));
    }
    let folder = copy();
    fs::rename(folder.path().join(FILES[2]), folder.path().join("pytorch_model.bin"))
        .expect("renamed");
    let refused = inspect(folder.path()).expect_err("a pickle");
    assert_eq!(refused, Refused::Pickle { file: "pytorch_model.bin" });
    let huge = vec![b' '; (1 << 20) + 1];
    fs::write(folder.path().join(FILES[0]), huge).expect("written");
    let refused = inspect(folder.path()).expect_err("too large").to_string();
    assert_eq!(refused, "the file config.json has 1048577 bytes; at most 1048576 are allowed");
}

#[test]
fn other_networks_are_refused_with_their_reason() {
    let config = fs::read_to_string(tiny().join(FILES[0])).expect("a configuration");
    let folder = copy();
    for (from, to, reason) in [
        ("\"bert\"", "\"roberta\"", "model_type is \"roberta\"; only \"bert\" can"),
        ("\"gelu\"", "\"silu\"", "hidden_act is \"silu\""),
        ("\"hidden_size\": 32", "\"hidden_size\": 30", "30 cannot be split among 4 heads"),
        ("\"hidden_size\": 32", "\"hidden_size\": 0", "hidden_size is 0"),
        ("\"vocab_size\": 130", "\"vocab_size\": 13000000", "vocab_size is 13000000"),
        ("1e-12", "-1", "layer_norm_eps is -1"),
        ("{", "[", "cannot be read"),
    ] {
        assert!(config.contains(from), "{from}");
        fs::write(folder.path().join(FILES[0]), config.replacen(from, to, 1)).expect("written");
        let refused = inspect(folder.path()).expect_err(to).to_string();
        assert!(refused.starts_with("the file config.json is unsuitable: "), "{refused}");
        assert!(refused.contains(reason), "{refused}");
    }
}

#[cfg(not(feature = "embed"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let model = confirmed(&tiny(), Pooling::Mean);
    assert_eq!(load(&tiny(), &model, 1).err(), Some(Refused::Unavailable));
}

#[cfg(feature = "embed")]
mod loaded {
    use std::sync::Arc;

    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::Index;
    use serde::Deserialize;

    use super::{FILES, MODELS, Model, Path, Pooling, Refused, confirmed, copy, fs, load, tiny};
    use crate::{EmbedError, Embedder, lanes};

    #[derive(Deserialize)]
    struct Case {
        text: String,
        tokens: usize,
        first: Vec<f32>,
        mean: Vec<f32>,
    }

    fn cases() -> Vec<Case> {
        let json = fs::read(tiny().join("expected.json")).expect("the expected vectors");
        serde_json::from_slice(&json).expect("a list of cases")
    }

    fn embedder(pooling: Pooling, threads: usize) -> Arc<dyn Embedder> {
        load(&tiny(), &confirmed(&tiny(), pooling), threads).expect("a model")
    }

    /// The error of a folder whose hashes are confirmed.
    fn refusal(folder: &Path) -> Refused {
        load(folder, &confirmed(folder, Pooling::Mean), 1).err().expect("a refusal")
    }

    #[test]
    fn vectors_are_those_of_transformers_alone_and_in_company() {
        let cases = cases();
        let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
        for (pooling, threads) in [(Pooling::First, 1), (Pooling::Mean, 1), (Pooling::Mean, 2)] {
            let embedder = embedder(pooling, threads);
            let together = embedder.passages(&texts).expect("vectors");
            assert_eq!(together.len(), cases.len());
            for (case, vector) in cases.iter().zip(&together) {
                let wanted = if pooling == Pooling::First { &case.first } else { &case.mean };
                let near = lanes::dot(vector, wanted);
                assert!((0.999_99..1.000_01).contains(&near), "{near} {:?}", case.text);
                let alone = embedder.query(&case.text).expect("a vector");
                assert!(0.999_999 < lanes::dot(vector, &alone), "{:?}", case.text);
                assert_eq!(embedder.tokens(&case.text), case.tokens, "{:?}", case.text);
            }
        }
    }

    #[test]
    fn many_texts_keep_their_order_over_all_packs() {
        let embedder = embedder(Pooling::Mean, 2);
        let texts: Vec<String> = (0..90).map(|at| "note ".repeat(at % 71) + "x").collect();
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.passages(&all).expect("vectors");
        for (text, vector) in all.iter().zip(&vectors) {
            let alone = embedder.query(text).expect("a vector");
            assert!(0.999_999 < lanes::dot(vector, &alone), "{text}");
        }
        assert_eq!(embedder.passages(&[]), Ok(Vec::new()));
    }

    #[test]
    fn prefixes_stand_before_what_they_are_for() {
        let plain = embedder(Pooling::Mean, 1);
        let model = Model {
            query_prefix: "price: ".into(),
            passage_prefix: "note: ".into(),
            ..confirmed(&tiny(), Pooling::Mean)
        };
        let embedder = load(&tiny(), &model, 1).expect("a model");
        assert_eq!(embedder.query("paid"), plain.query("price: paid"));
        assert_eq!(embedder.passages(&["paid"]), plain.passages(&["note: paid"]));
    }

    #[test]
    fn only_the_confirmed_files_are_loaded() {
        for (at, file) in FILES.into_iter().enumerate() {
            let folder = copy();
            let model = confirmed(folder.path(), Pooling::Mean);
            let mut bytes = fs::read(folder.path().join(file)).expect("a file");
            // A space in JSON, or the last bit of the last number: still a model, but a different one.
            match at {
                2 => *bytes.last_mut().expect("a byte") ^= 1,
                _ => bytes.push(b' '),
            }
            fs::write(folder.path().join(file), bytes).expect("written");
            match load(folder.path(), &model, 1).err() {
                Some(Refused::OtherHash { file: named, .. }) => assert_eq!(named, file),
                other => panic!("{file}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_known_model_takes_no_other_sizes() {
        let refused = load(&tiny(), &MODELS[0], 1).err().expect("a refusal").to_string();
        assert!(refused.contains("its sizes are not those of bge-small-en-v1.5"), "{refused}");
    }

    /// The error for the tiny model with a changed header or changed numbers.
    fn spoilt(change: impl FnOnce(&mut serde_json::Value, &mut Vec<u8>)) -> Refused {
        let folder = copy();
        let path = folder.path().join(FILES[2]);
        let (mut header, mut numbers) = parts(&fs::read(&path).expect("weights"));
        change(&mut header, &mut numbers);
        fs::write(&path, whole(&header, &numbers)).expect("written");
        refusal(folder.path())
    }

    fn parts(bytes: &[u8]) -> (serde_json::Value, Vec<u8>) {
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
        (header, bytes[8 + length..].to_vec())
    }

    fn whole(header: &serde_json::Value, numbers: &[u8]) -> Vec<u8> {
        let json = serde_json::to_vec(header).expect("json");
        [&(json.len() as u64).to_le_bytes(), json.as_slice(), numbers].concat()
    }

    const NORM: &str = "embeddings.LayerNorm.weight";

    #[test]
    fn weights_that_do_not_fit_are_refused_with_a_sentence() {
        let message = |refused: Refused| refused.to_string();
        let fault = |what: &str| {
            format!("the file model.safetensors is unsuitable: the tensor {NORM} {what}")
        };
        assert_eq!(
            message(spoilt(|header, _| header[NORM]["shape"] = serde_json::json!([16, 2]))),
            fault("has the shape [16, 2]; the configuration asks for [32]")
        );
        assert_eq!(
            message(spoilt(|header, _| header[NORM]["dtype"] = "BF16".into())),
            fault("holds numbers of type \"BF16\"; only F32 and F16 are read")
        );
        assert_eq!(
            message(spoilt(|header, _| header[NORM]["dtype"] = "F16".into())),
            fault("has 128 bytes where its shape needs 64")
        );
        let renamed = spoilt(|header, _| {
            let norm = header[NORM].take();
            header.as_object_mut().expect("an object").remove(NORM);
            header["other"] = norm;
        });
        assert_eq!(message(renamed), fault("is missing"));
        let at = |header: &serde_json::Value| {
            header[NORM]["data_offsets"][0].as_u64().expect("a place") as usize
        };
        for number in [f32::NAN, f32::INFINITY] {
            let refused = spoilt(|header, numbers| {
                numbers[at(header)..][..4].copy_from_slice(&number.to_le_bytes());
            });
            assert_eq!(message(refused), fault("holds a number that is not finite"));
        }
        let refused = spoilt(|header, _| header[NORM]["data_offsets"][1] = u64::MAX.into());
        assert!(message(refused).contains("which are not its own"));
        let refused = spoilt(|_, numbers| numbers.truncate(numbers.len() - 4));
        assert!(
            message(refused)
                .starts_with("the file model.safetensors is damaged: its tensors claim")
        );
        let refused = spoilt(|_, numbers| numbers.push(0));
        assert!(
            message(refused)
                .starts_with("the file model.safetensors is damaged: its tensors claim")
        );
    }

    #[test]
    fn files_that_are_no_weights_are_refused() {
        let folder = copy();
        let path = folder.path().join(FILES[2]);
        for (bytes, message) in [
            (b"PK\x03\x04 an archive of pickles".as_slice(), "could run code"),
            (b"\x80\x02}q\x00 a pickle", "could run code"),
            (b"", "it has only 0 bytes"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "its header claims 18446744073709551615 bytes"),
            (b"\x02\0\0\0\0\0\0\0{]", "its header cannot be read"),
            (b"\x02\0\0\0\0\0\0\0{}", "is missing"),
        ] {
            fs::write(&path, bytes).expect("written");
            let refused = refusal(folder.path()).to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }

    #[test]
    fn half_precision_and_the_prefix_of_other_writers_are_read() {
        let folder = copy();
        let path = folder.path().join(FILES[2]);
        let (header, numbers) = parts(&fs::read(&path).expect("weights"));
        let (short, _) = numbers.as_chunks::<4>();
        let short = short
            .iter()
            .flat_map(|bytes| half::f16::from_f32(f32::from_le_bytes(*bytes)).to_le_bytes());
        let mut other = serde_json::Map::new();
        for (name, entry) in header.as_object().expect("an object") {
            if name != "__metadata__" {
                let mut entry = entry.clone();
                entry["dtype"] = "F16".into();
                for at in 0..2 {
                    let place = entry["data_offsets"][at].as_u64().expect("a place");
                    entry["data_offsets"][at] = (place / 2).into();
                }
                other.insert(format!("bert.{name}"), entry);
            }
        }
        fs::write(&path, whole(&other.into(), &short.collect::<Vec<_>>())).expect("written");
        let model = confirmed(folder.path(), Pooling::Mean);
        let half = load(folder.path(), &model, 1).expect("a model");
        for case in cases() {
            let vector = half.query(&case.text).expect("a vector");
            assert!(0.9999 < lanes::dot(&vector, &case.mean), "{:?}", case.text);
        }
    }

    #[test]
    fn a_model_that_blows_up_says_so() {
        let folder = copy();
        let path = folder.path().join(FILES[2]);
        let (header, mut numbers) = parts(&fs::read(&path).expect("weights"));
        let (all, _) = numbers.as_chunks_mut::<4>();
        all.iter_mut().for_each(|bytes| *bytes = f32::MAX.to_le_bytes());
        fs::write(&path, whole(&header, &numbers)).expect("written");
        let model = confirmed(folder.path(), Pooling::Mean);
        let embedder = load(folder.path(), &model, 1).expect("a model");
        assert_eq!(embedder.query("price"), Err(EmbedError::NotFinite));
    }

    #[test]
    fn tokenizers_that_do_not_fit_are_refused() {
        let folder = copy();
        let path = folder.path().join(FILES[1]);
        let json = fs::read_to_string(&path).expect("a tokenizer");
        for spoilt in [json.replacen("\"[MASK]\":4", "\"[MASK]\":4000", 1), "{}".to_owned()] {
            assert_ne!(spoilt, json);
            fs::write(&path, spoilt).expect("written");
            let refused = refusal(folder.path()).to_string();
            assert!(refused.starts_with("the file tokenizer.json is unsuitable: "), "{refused}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(
            at in any::<Index>(), byte in any::<u8>(), cut in any::<Index>(), file in 0..3_usize, shorter in any::<bool>(),
        ) {
            let folder = copy();
            let path = folder.path().join(FILES[file]);
            let mut bytes = fs::read(&path).expect("a file");
            // Of the weights mainly the header, which the parser reads.
            let reach = if file == 2 { 5_000 } else { bytes.len() };
            bytes[at.index(reach)] = byte;
            if shorter {
                bytes.truncate(cut.index(bytes.len()));
            }
            fs::write(&path, bytes).expect("written");
            if let Ok(found) = crate::inspect(folder.path()) {
                let model = found.confirmed(super::terms(Pooling::Mean));
                match load(folder.path(), &model, 1) {
                    // A non-finite or huge weight shows only in the result.
                    Ok(embedder) => match embedder.query("the agent paid") {
                        Ok(of) => prop_assert_eq!(of.len(), 32),
                        Err(refused) => prop_assert_eq!(refused, EmbedError::NotFinite),
                    },
                    Err(refused) => prop_assert!(!refused.to_string().is_empty()),
                }
            }
        }

        #[test]
        fn random_bytes_are_no_model(bytes in proptest::collection::vec(any::<u8>(), 0..300), file in 0..3_usize) {
            let folder = copy();
            fs::write(folder.path().join(FILES[file]), bytes).expect("written");
            if let Ok(found) = crate::inspect(folder.path()) {
                let model = found.confirmed(super::terms(Pooling::Mean));
                prop_assert!(load(folder.path(), &model, 1).is_err());
            }
        }
    }
}
