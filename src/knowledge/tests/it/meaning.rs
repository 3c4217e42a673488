//! Semantic search, with a model that knows three groups of words.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::hq::{Person, Setup, TestHq};
use support::meaning::model;
use support::model::Turn;
use support::office::Office;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::HERE;

const WORDS: &[&[&str]] =
    &[&["dog", "canine", "hound"], &["deposit", "bail"], &["rain", "downpour", "wet"]];

async fn written(api: &Person, title: &str, text: &str) -> String {
    let made = api.post("/api/v1/knowledge", &json!({ "title": title, "text": text })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// Uploads a model with its card and takes it into use.
async fn taken(api: &Person, groups: &[&[&str]]) -> Value {
    for (name, bytes) in model(groups) {
        let path = format!("/api/v1/meaning/files/{name}");
        let sent = api.bytes("PUT", &path, "application/octet-stream", bytes).await;
        assert_eq!(sent.status, 204, "{}", sent.text);
    }
    let body = json!({ "terms": { "name": "Three groups", "pooling": "mean" } });
    let made = api.post("/api/v1/meaning", &body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    made.json()
}

/// State of semantic search, once this many passages have vectors and none is pending.
async fn embedded(api: &Person, passages: u64) -> Value {
    loop {
        let state = api.get("/api/v1/meaning").await.json();
        if state["passages"] == passages && state["waiting"] == 0 {
            return state;
        }
        assert_eq!(state["trouble"], "", "{state}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Titles found, and whether by text.
async fn found(api: &Person, query: &str) -> Vec<(String, bool)> {
    let all = api.get(&format!("/api/v1/knowledge?{query}")).await;
    assert_eq!(all.status, 200, "{}", all.text);
    let items = all.json()["items"].as_array().expect("items").clone();
    let one = |item: &Value| {
        (item["title"].as_str().expect("a title").to_owned(), item["by_words"] != json!(false))
    };
    items.iter().map(one).collect()
}

fn by_meaning(title: &str) -> Vec<(String, bool)> {
    vec![(title.to_owned(), false)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_the_same_in_other_words_is_found_as_it_stands_now() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let walks = written(&api, "Walks", "# Noon\n\nThe dog goes out.\n").await;
    written(&api, "Weather", "We stay in when there is rain.").await;
    assert!(found(&api, "q=canine").await.is_empty());
    let refused = api.post("/api/v1/meaning", &json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);

    let state = taken(&api, WORDS).await;
    let used = state["used"].as_str().expect("a model").to_owned();
    let audit = api.get("/api/v1/audit?limit=20").await;
    assert!(audit.text.contains("model_choice.created"), "{}", audit.text);
    embedded(&api, 2).await;
    assert_eq!(found(&api, "q=canine").await, by_meaning("Walks"));
    assert_eq!(found(&api, "q=downpour").await, by_meaning("Weather"));
    assert!(found(&api, "q=canine&by=words").await.is_empty());
    assert_eq!(found(&api, "q=dog").await, [("Walks".to_owned(), true)]);
    assert_eq!(found(&api, "q=dog&by=meaning").await, by_meaning("Walks"));
    assert!(found(&api, "q=nothing").await.is_empty(), "far from everything");
    assert!(found(&api, "q=%22canine%22").await.is_empty(), "no text holds the word");
    assert_eq!(found(&api, "q=%22dog%20goes%22").await, [("Walks".to_owned(), true)]);
    assert!(found(&api, "q=%22goes%20dog%22").await.is_empty());
    assert!(found(&api, "q=dog%20-noon").await.is_empty(), "also where another passage holds it");
    let page = hq.owner().get(&format!("{HERE}/knowledge?q=canine")).await;
    assert!(page.text.contains("Semantic match") && page.text.contains("The dog goes out"));

    // The vector of an old text no longer matches.
    let at = format!("/api/v1/knowledge/{walks}");
    let changed = api.json("PATCH", &at, &json!({ "text": "The rain is warm." })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let now = || async {
        loop {
            let hits = found(&api, "q=wet").await;
            if hits.len() == 2 {
                return hits;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    now().await;
    assert!(found(&api, "q=canine").await.is_empty());

    // Vectors survive a restart and are deleted with their item.
    hq.restart().await;
    let api = hq.api().await;
    embedded(&api, 2).await;
    assert_eq!(found(&api, "q=wet").await.len(), 2);
    assert_eq!(api.call("DELETE", &at).await.status, 204);
    embedded(&api, 1).await;
    assert_eq!(found(&api, "q=wet").await, by_meaning("Weather"));

    // Another model creates its own vectors. Without a model, text search still works.
    taken(&api, &[&["stay", "remain"]]).await;
    embedded(&api, 1).await;
    assert_eq!(found(&api, "q=remain").await, by_meaning("Weather"));
    assert!(found(&api, "q=downpour").await.is_empty());
    let off = api.json("PUT", "/api/v1/meaning/used", &json!({ "id": null })).await;
    assert_eq!(off.status, 200, "{}", off.text);
    assert_eq!(off.json()["used"], Value::Null);
    assert!(found(&api, "q=remain").await.is_empty());
    assert_eq!(found(&api, "q=stay").await.len(), 1);
    let gone = api.call("DELETE", &format!("/api/v1/meaning/models/{used}")).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let used = api.json("PUT", "/api/v1/meaning/used", &json!({ "id": used })).await;
    assert_eq!(used.status, 404, "{}", used.text);

    // A model may be uploaded without taking it into use; its name selects it as well as its id.
    for (name, bytes) in model(&[&["warm", "mild"]]) {
        let path = format!("/api/v1/meaning/files/{name}");
        api.bytes("PUT", &path, "application/octet-stream", bytes).await;
    }
    let body = json!({ "terms": { "name": "One group", "pooling": "mean" }, "use": false });
    let made = api.post("/api/v1/meaning", &body).await;
    assert_eq!((made.status.as_u16(), &made.json()["used"]), (200, &Value::Null), "{}", made.text);
    let by_name = api.json("PUT", "/api/v1/meaning/used", &json!({ "id": "one group" })).await;
    assert!(by_name.json()["used"].is_string(), "{}", by_name.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_finds_by_meaning_what_it_may_see_and_nothing_else() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    office.agent("Otto").await;
    written(&api, "Kennel", "A hound sleeps here.").await;
    let hidden = json!({
        "title": "For Otto", "text": "The canine is ill.", "scope": "agent", "agents": ["otto"],
    });
    assert_eq!(api.post("/api/v1/knowledge", &hidden).await.status, 201);
    taken(&api, WORDS).await;
    embedded(&api, 2).await;
    office.model.push(Turn::call("knowledge_search", json!({ "query": "dog" })));
    let run = office.say(&ada, "Where are the dogs?").await;
    office.ended(run).await;
    let (_, _, result) = office.results(run).remove(0);
    assert!(result.contains("Kennel") && result.contains("know:"), "{result}");
    assert!(!result.contains("is ill"), "{result}");
    assert_eq!(found(&api, "q=dog").await.len(), 2, "a person sees both");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_model_is_refused_in_a_sentence_and_words_are_found() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    written(&api, "Walks", "The dog goes out.").await;
    let put = |name: &'static str, bytes: Vec<u8>| {
        let api = &api;
        async move {
            let path = format!("/api/v1/meaning/files/{name}");
            api.bytes("PUT", &path, "application/octet-stream", bytes).await
        }
    };
    assert_eq!(put("pytorch_model.bin", vec![0; 8]).await.status, 422);
    let [config, tokenizer, weights] = model(WORDS);
    put(config.0, config.1).await;
    put(tokenizer.0, tokenizer.1).await;
    let missing = api.post("/api/v1/meaning", &json!({})).await;
    assert!(
        missing.text.contains("the model's file model.safetensors is missing"),
        "{}",
        missing.text
    );
    let cut = weights.1[..weights.1.len() - 4].to_vec();
    put(weights.0, cut.clone()).await;
    let unknown = api.post("/api/v1/meaning", &json!({})).await;
    assert!(unknown.text.contains("doesn't know this model"), "{}", unknown.text);
    let page = hq.owner().get(&format!("{HERE}/settings/meaning")).await;
    assert!(page.text.contains("Confirm and use"), "{}", page.text);

    // A damaged model is refused even if a person confirms it, and its files are deleted.
    let body = json!({ "terms": { "name": "Cut", "pooling": "mean" } });
    let refused = api.post("/api/v1/meaning", &body).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("the file model.safetensors is damaged"), "{}", refused.text);
    let state = api.get("/api/v1/meaning").await.json();
    assert_eq!((&state["used"], &state["unknown"]), (&Value::Null, &Value::Null), "{state}");
    assert_eq!(api.post("/api/v1/meaning", &body).await.status, 409, "nothing is left of it");

    // If the files of the model in use are damaged later, that is reported and text search still works.
    let state = taken(&api, WORDS).await;
    let id = state["used"].as_str().expect("a model");
    fs::write(hq.data().join("models").join(id).join(weights.0), cut).expect("written");
    hq.restart().await;
    let api = hq.api().await;
    let hits = api.get("/api/v1/knowledge?q=dog").await.json();
    assert_eq!(hits["total"], 1, "{hits}");
    assert_eq!(hits["not_known_yet"], "Only keywords were searched.");
    let state = api.get("/api/v1/meaning").await.json();
    assert!(state["trouble"].as_str().is_some_and(|why| why.contains("damaged")), "{state}");
    let embedded = api.post("/api/v1/embed", &json!({ "input": "dog" })).await;
    assert_eq!(embedded.status, 409, "{}", embedded.text);

    // A read-only token changes nothing.
    let reader = hq.token(&["read"]).await;
    let off = reader.json("PUT", "/api/v1/meaning/used", &json!({ "id": null })).await;
    assert_eq!(off.status, 403, "{}", off.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_come_from_a_mirror_in_a_network_of_its_own() {
    let mirror = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let source = format!("http://{}", mirror.local_addr().expect("its address"));
    let hq = Setup::default().config(move |config| config.embed_source = source.clone());
    let hq = hq.start().await;
    let api = hq.api().await;
    let id = embed::MODELS[0].id.as_ref();
    let begun = api.post(&format!("/api/v1/meaning/models/{id}/download"), &json!({})).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let (mut stream, _) = mirror.accept().await.expect("a request");
    let mut head = [0; 64];
    stream.read_exact(&mut head).await.expect("its beginning");
    assert!(head.starts_with(b"GET /BAAI/bge-small-en-v1.5/resolve/"), "{}", head.escape_ascii());
    drop(stream);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_vectors_in_the_form_of_openai() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let chat = hq.token(&["chat", "read"]).await;
    let request = json!({ "model": "hq/embed", "input": ["dog", "hound", "rain"] });
    let none = chat.post("/v1/embeddings", &request).await;
    assert_eq!(
        (none.status.as_u16(), &none.json()["error"]["code"]),
        (503, &json!("embeddings_unavailable"))
    );
    taken(&api, WORDS).await;
    let made = chat.post("/v1/embeddings", &request).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    let vector = |n: usize| made["data"][n]["embedding"].as_array().expect("a vector").clone();
    assert_eq!((vector(0).len(), vector(0)), (16, vector(1)), "{made}");
    assert_ne!(vector(0), vector(2));
    assert_eq!(made["usage"]["total_tokens"], 3);
    let packed = json!({ "input": "dog", "encoding_format": "base64", "dimensions": 4 });
    let packed = chat.post("/v1/embeddings", &packed).await.json();
    assert_eq!(packed["data"][0]["embedding"].as_str().map(str::len), Some(24), "{packed}");
    let other = json!({ "model": "text-embedding-3-small", "input": "dog" });
    let other = chat.post("/v1/embeddings", &other).await;
    assert_eq!(
        (other.status.as_u16(), &other.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    let text = other.json()["error"]["message"].to_string();
    assert!(text.contains("hq/embed") && text.contains("Three groups"), "{text}");
    assert!(!text.contains("hq/default"), "no agent makes vectors: {text}");
    let unknown = json!({ "id": "text-embedding-3-small" });
    let unknown = api.json("PUT", "/api/v1/meaning/used", &unknown).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    assert!(unknown.text.contains("Three groups"), "{}", unknown.text);
    let named = json!({ "model": "Three groups", "input": "dog" });
    assert_eq!(chat.post("/v1/embeddings", &named).await.status, 200);
    let refused = [
        json!({ "input": [] }),
        json!({ "input": ["dog", " "] }),
        json!({ "input": [1, 2] }),
        json!({ "input": "dog", "dimensions": 17 }),
        json!({ "input": "dog", "encoding_format": "int8" }),
    ];
    for body in refused {
        let answer = chat.post("/v1/embeddings", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    let own = api.post("/api/v1/embed", &json!({ "input": "dog" })).await.json();
    assert_eq!(
        (own["dimensions"].as_u64(), own["embedding"].as_array()),
        (Some(16), Some(&vector(0)))
    );
    hq.finish().await;
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_cannot_be_read_is_left_out_counted_and_keeps_no_other_back() {
    let quick = || server::consumers::all().pausing(Duration::from_millis(1));
    let hq = Setup::default().consumers(quick).start().await;
    let api = hq.api().await;
    let text = "The dog goes out. ".repeat(2_500);
    written(&api, "Long", &text).await;
    written(&api, "Weather", "We stay in when there is rain.").await;
    let blobs = files_below(&hq.ws().folder.join("blobs"));
    let is_it = |path: &&std::path::PathBuf| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == text.len() as u64)
    };
    let file = blobs.iter().find(is_it).expect("its words lie in a file").clone();
    let aside = hq.data().join("aside");
    fs::rename(&file, &aside).expect("it is moved");
    taken(&api, WORDS).await;
    let until = async |left: u64, passages: u64| loop {
        let state = api.get("/api/v1/meaning").await.json();
        let has = state["passages"].as_u64().is_some_and(|found| passages <= found);
        if state["left_out"] == left && state["waiting"] == 0 && has {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let state = until(1, 1).await;
    assert_eq!((&state["ready"], &state["passages"]), (&json!(false), &json!(1)), "{state}");
    assert!(state["says"].to_string().contains("1 item is skipped"), "{state}");
    assert_eq!(found(&api, "q=downpour").await, by_meaning("Weather"));
    let letters = "/api/v1/consumers/vectors/dead-letters";
    let all = api.get(letters).await.json();
    assert!(all["items"][0]["error"].to_string().contains("Long"), "{all}");
    let page = hq.owner().get(&format!("{HERE}/settings/health")).await;
    assert!(page.text.contains("in semantic search: the disk failed"), "{}", page.text);

    fs::rename(&aside, &file).expect("it is back");
    let retry = format!("/api/v1/dead-letters/vectors/{}/retry", all["items"][0]["seq"]);
    assert_eq!(api.post(&retry, &json!({})).await.status, 200);
    let state = until(0, 2).await;
    assert_eq!(state["ready"], true, "{state}");
    assert_eq!(found(&api, "q=canine").await, by_meaning("Long"));
    hq.finish().await;
}
