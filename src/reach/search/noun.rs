//! Search engines on the kit.

use entity::{Area, Entity, Field, Fields, InputKind, Stored, Values, text_of};
use features::onboarding::rules as onboarding;
use kernel::{Can, Error, Timestamp};
use kit::{Answers, Extra, ExtraOf, Noun, On, Op, Page, Reply, Row, Run};
use serde_json::json;
use store::{Read, StoreError, WriteTx};
use tool::Effect;

use super::model::{MemberSearchDay, SearchDay, SearchEngine};
use super::{key, queries, rules};
use crate::engines::keyless::Service;
use crate::engines::manifest::Manifest;
use crate::engines::{self, EngineKind};

/// Descriptors, for schema, history and undo.
pub static NOUNS: [&Entity; 1] = [&ENGINE];

pub static ENGINE: Entity = Entity {
    area: Area::Agents,
    tables: |schema| {
        schema.with::<SearchEngine>().with::<SearchDay>().with::<MemberSearchDay>()
    },
    fields: &[
        Field::line("name", "name").required().max(60).called("title"),
        Field::choice("kind", "engine", EngineKind::WORDS, EngineKind::LABELS)
            .once()
            .required()
            .about(
                "Without a key: the free services of Parallel, Firecrawl and Tavily answer, in this order. The \
                 one that answers sees what agents search for and HQ’s network address",
            ),
        Field::entered("address", "address", InputKind::Url)
            .about("of a SearXNG server or of another server with the same interface; else empty"),
        Field::entered("manifest", "manifest", InputKind::Long)
            .max(16_000)
            .about("for the engine Manifest: JSON with url, method, headers, body and at"),
        Field::count("position", "order", 1, 1_000)
            .usual("10")
            .about("lower ones are asked first"),
        Field::count("cost_micros", "cost per search in millionths of a dollar", 0, 10_000_000)
            .usual("0"),
        Field::flag("may_cache", "results may be kept for 15 minutes")
            .about("only if the engine’s terms allow it; Brave’s need a plan with storage rights"),
        Field::flag("is_enabled", "in use"),
        Field::text("secret", "key").hidden().internal(),
        Field::text("by", "by").hidden().internal(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/search-engines".to_owned(),
    // Keys and consent are not given back by an undo.
    undo: None,
    triggers: Some("Search engines"),
    missing: "search_engine_not_found",
    ..Entity::stored::<SearchEngine>("search-engine", "search engine", "search engines")
};

pub static ENGINES: Noun = Noun {
    write: Can::Admin,
    param: "engine",
    proof: Some(needs_proof),
    order: Some(queries::ORDER),
    extra: Some(Extra { schema: state_schema, prepare: states, in_lists: false }),
    ops: &[
        Op {
            name: "key",
            effect: Effect::Change,
            about: "Replace the key of a search engine; an empty one removes it",
            verb: "Replace key",
            done: "Saved the key of",
            input: &[Field::entered("key", "key", InputKind::Secret)],
            offered: |engine| text_of(engine, "kind") != EngineKind::Keyless.word(),
            run: Run::Prepared(key::seal, key::save),
            ..OP
        },
        Op {
            name: "test",
            effect: Effect::External,
            about: "Search with this engine now, without the others",
            verb: "Test",
            input: &[Field::line("query", "words").max(200)],
            answers: Answers::Json(key::result_schema),
            run: Run::Prepared(key::probe, key::probed),
            ..OP
        },
        Op {
            name: "keyless",
            on: On::All,
            effect: Effect::Change,
            about: "Allow or forbid search without a key: Parallel, Firecrawl and Tavily answer, and can see \
                    what agents search for and HQ’s network address",
            verb: "Search without a key",
            input: &[Field::flag("allow", "allow").required()],
            answers: Answers::Json(allowed_schema),
            run: Run::Write(|cx, tx| {
                let is_allowed = cx.flag("allow");
                rules::switch_keyless(tx, is_allowed)?;
                Ok(Reply::json(&json!({ "message": said(is_allowed), "allowed": is_allowed })))
            }),
            ..OP
        },
    ],
    page: Some(Page {
        title: "Web search",
        row,
        live: live_tables,
        delete: "Its key is removed, and searches go to the other engines.",
        tabs: &[],
        detail: kit::no_detail,
        others: kit::no_others,
    }),
    ..Noun::of(
        &ENGINE,
        "search-engines",
        "Where agents search the web. Engines are asked in order until one answers",
    )
};

const OP: Op = Op {
    name: "",
    on: On::One,
    can: Can::Admin,
    effect: Effect::Change,
    about: "",
    verb: "",
    done: "Saved",
    confirm: "",
    input: &[],
    answers: Answers::Record,
    tool: false,
    guide: kit::no_guide,
    links: &[],
    offered: kit::always,
    run: Run::Prepared(key::probe, key::probed),
};

fn allowed_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "allowed": { "type": "boolean" } },
        "required": ["message", "allowed"],
    })
}

fn said(is_allowed: bool) -> &'static str {
    match is_allowed {
        true => "Agents may search without a key.",
        false => "Agents don’t search without a key.",
    }
}

fn live_tables() -> Vec<&'static str> {
    vec![vault::model::SECRETS.name]
}

impl Stored for SearchEngine {
    fn blank(tx: &mut WriteTx<'_>) -> Self {
        let now = tx.now();
        Self {
            id: tx.new_id(),
            name: String::new(),
            address: String::new(),
            position: 0,
            cost_micros: 0,
            secret: None,
            by: tx.by(),
            created_at: now,
            updated_at: now,
            ..store::Record::sample()
        }
    }

    fn check(
        tx: &mut WriteTx<'_>,
        old: Option<&Self>,
        new: &mut Self,
        given: &Values,
    ) -> Result<(), Error> {
        let others = queries::all(tx)?;
        let others = others.iter().filter(|one| one.id != new.id);
        if others.clone().any(|one| one.name.to_lowercase() == new.name.to_lowercase()) {
            return Err(Error::field("name", "There is already a search engine with this name."));
        }
        if new.position == 0 {
            let last = others.clone().map(|one| one.position).max().unwrap_or(0);
            new.position = (last + 10).min(1_000);
        }
        if old.is_none() && !given.contains_key("may_cache") {
            new.may_cache = new.kind.may_cache();
        }
        let is_new_consent = new.kind == EngineKind::Keyless
            && new.is_enabled
            && !old.is_some_and(|old| old.is_enabled);
        if is_new_consent && tx.by().account().is_none() {
            let message = "Only a person can allow search without a key.";
            return Err(Error::field("kind", message));
        }
        if is_new_consent {
            onboarding::answer_keyless(tx, true)?;
        }
        check_place(new)?;
        match old {
            Some(old) => check_key(old, new),
            None => Ok(()),
        }
    }

    fn stamp(&mut self, now: Timestamp) {
        self.updated_at = now;
    }

    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        rules::forget_key(tx, gone)
    }
}

/// Whether an engine has the address or manifest that its kind needs.
fn check_place(new: &SearchEngine) -> Result<(), Error> {
    if new.kind == EngineKind::SearxNg && new.address.is_empty() {
        return Err(Error::field("address", "Enter the address of the SearXNG server."));
    }
    if new.kind != EngineKind::Manifest && new.manifest.is_empty() {
        return Ok(());
    }
    Manifest::parse(&new.manifest).map(drop).map_err(|wrong| {
        let message = format!("the manifest can’t be used: {wrong}");
        Error::field("manifest", web::form::sentence(&message))
    })
}

/// A key goes to the server for which it was entered and to no other. A key removed in the vault counts, because it can
/// be restored.
fn check_key(old: &SearchEngine, new: &SearchEngine) -> Result<(), Error> {
    let origin = |one: &SearchEngine| engines::origin(one.kind, &one.address, &one.manifest);
    if old.secret.is_none() || origin(old) == origin(new) {
        return Ok(());
    }
    let field = if new.kind == EngineKind::Manifest { "manifest" } else { "address" };
    let message = "Remove the key first: it’s for the old server. Enter it again afterwards.";
    Err(Error::field(field, message))
}

/// Addresses may be private and get the key, so they need a person at a browser or on this machine.
fn needs_proof(act: &str, values: Option<&Values>) -> bool {
    match (act, values) {
        ("create" | "change", None) => true,
        ("create" | "change", Some(values)) => {
            ["address", "manifest"].iter().any(|key| !text_of(values, key).trim().is_empty())
        }
        _ => false,
    }
}

fn state_schema() -> Fields {
    let text = json!({ "type": "string", "enum": ["ready", "off", "no_key"] });
    Fields::from_iter([
        ("state".to_owned(), text),
        ("has_key".to_owned(), json!({ "type": "boolean" })),
    ])
}

fn states(read: &dyn Read) -> Result<ExtraOf<'_>, StoreError> {
    let all = queries::all(read)?;
    let live: Vec<_> = vault::queries::live(read)?.into_iter().map(|secret| secret.id).collect();
    Ok(Box::new(move |engine| {
        let id = text_of(engine, "id");
        let Some(row) = all.iter().find(|row| row.id.to_string() == id) else {
            return Ok(Fields::new());
        };
        let has_key = row.secret.is_some_and(|secret| live.contains(&secret));
        // ok: a manifest was checked when it was saved.
        let needs = match row.kind {
            EngineKind::Manifest => {
                Manifest::parse(&row.manifest).is_ok_and(|manifest| manifest.needs_key())
            }
            kind => kind.needs_key(),
        };
        let state = match (row.is_enabled, needs && !has_key) {
            (false, _) => "off",
            (true, true) => "no_key",
            (true, false) => "ready",
        };
        Ok(Fields::from_iter([
            ("state".to_owned(), json!(state)),
            ("has_key".to_owned(), json!(has_key)),
        ]))
    }))
}

fn row(record: &Fields) -> Row {
    let state = match text_of(record, "state") {
        "ready" => Some(("Ready", "ok")),
        "no_key" => Some(("No key", "warn")),
        _ => Some(("Off", "")),
    };
    let word = text_of(record, "kind");
    let at = EngineKind::WORDS.iter().position(|known| *known == word);
    let label = at.map_or("", |at| EngineKind::LABELS[at]);
    let makers = Service::ALL.map(Service::label).join(", ");
    let about = match text_of(record, "address") {
        _ if word == EngineKind::Keyless.word() => {
            format!("{label}: {makers} can see what agents search for")
        }
        "" => label.to_owned(),
        address => format!("{label} · {address}"),
    };
    let name = text_of(record, "name").to_owned();
    Row { name, about, state, ..Row::default() }
}

#[cfg(test)]
mod tests {
    use entity::Values;
    use serde_json::json;
    use store::Record as _;

    use super::{EngineKind, SearchEngine, check_key, needs_proof};

    fn manifest(url: &str) -> String {
        json!({ "url": url, "at": { "results": "", "title": "/t", "url": "/u" } }).to_string()
    }

    #[test]
    fn an_engine_with_a_key_stays_at_its_server() {
        let old = SearchEngine::sample();
        let at = |address: &str| SearchEngine { address: address.to_owned(), ..old.clone() };
        assert!(check_key(&old, &at("https://search.example/other")).is_ok());
        for address in ["https://evil.example/", "http://search.example/", ""] {
            assert!(check_key(&old, &at(address)).is_err(), "{address}");
        }
        let without = SearchEngine { secret: None, ..old.clone() };
        assert!(check_key(&without, &at("https://evil.example/")).is_ok());
        let described = |url: &str| SearchEngine {
            kind: EngineKind::Manifest,
            manifest: manifest(url),
            ..old.clone()
        };
        let one = described("https://a.example/x");
        assert!(check_key(&one, &described("https://a.example/y?q={{query}}")).is_ok());
        assert!(check_key(&one, &described("https://b.example/x")).is_err());
    }

    #[test]
    fn addresses_and_manifests_need_a_proof() {
        let given = |key: &str, text: &str| Values::from_iter([(key.to_owned(), json!(text))]);
        for act in ["create", "change"] {
            assert!(needs_proof(act, None));
            assert!(needs_proof(act, Some(&given("address", "http://localhost/"))));
            assert!(needs_proof(act, Some(&given("manifest", &manifest("http://localhost/")))));
            assert!(!needs_proof(act, Some(&given("address", ""))));
            assert!(!needs_proof(act, Some(&given("name", "Brave"))));
        }
        assert!(!needs_proof("test", Some(&Values::new())));
    }
}
