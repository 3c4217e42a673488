//! Tests all operations of a noun on the kit, with input generated from its field table: rights, unknown and missing
//! fields, stale revisions, repeated requests, undo, history, and equality of what API, tools and command line list and
//! show.

use std::path::Path;
use std::sync::Arc;

use entity::{Field, InputKind};
use kernel::{AgentId, RunId, SessionId, TypedId as _};
use kit::{Noun, On, Op};
use serde_json::{Map, Value, json};
use store::Read as _;
use tool::registry::AnyTool;
use tool::{Lease, ToolCx, ToolOutput};

use crate::hq::{Person, Reply, TestHq};

const MANIFEST: &str = r#"{"url": "https://search.example/?q={{query}}",
    "at": {"results": "/items", "title": "/title", "url": "/url"}}"#;

pub struct Walk<'h> {
    hq: &'h TestHq,
    noun: &'static Noun,
    api: Person,
}

fn ok(reply: &Reply) -> Value {
    assert!(reply.status.is_success(), "{} {}", reply.status, reply.text);
    if reply.text.is_empty() { Value::Null } else { reply.json() }
}

/// Value number `n` for a field.
fn value(field: &Field, n: usize) -> Option<Value> {
    Some(match field.input.kind {
        InputKind::Line => json!(format!("Ünit {n}")),
        // It has a form of its own.
        InputKind::Long if field.key == "manifest" => json!(MANIFEST),
        InputKind::Long => json!(format!("# Ünit {n}\n\nSome text.")),
        InputKind::Flag => json!(n.is_multiple_of(2)),
        InputKind::Count(least, most) => {
            json!(least + i64::try_from(n).unwrap_or(0) % (most - least + 1))
        }
        InputKind::Day => json!(format!("2026-12-{:02}", 1 + n % 28)),
        InputKind::Moment => json!(format!("2026-12-{:02}T10:00:00Z", 1 + n % 28)),
        InputKind::Choice(words, _) => json!(words[n % words.len()]),
        InputKind::Colour | InputKind::Hue => json!(format!("c{}", 1 + n % 12)),
        InputKind::Emoji => json!(["🚲", "⛵"][n % 2]),
        InputKind::Person => json!("me"),
        InputKind::Url => json!(format!("https://example.com/{n}")),
        InputKind::Secret => json!(format!("token-{n}-of-a-walk")),
        InputKind::Email => json!(format!("unit{n}@example.com")),
        InputKind::Lines => json!([format!("unit {n}")]),
        InputKind::Any | InputKind::Json(_) | InputKind::Record(_) | InputKind::File(_) => {
            return None;
        }
    })
}

/// A value of the wrong type.
fn misfit(field: &Field) -> Value {
    match field.input.kind {
        InputKind::Flag | InputKind::Count(..) => json!("many"),
        _ => json!(["a list"]),
    }
}

impl<'h> Walk<'h> {
    /// Runs all tests; those of the command line if `program` is given.
    pub async fn all(hq: &'h TestHq, noun: &'static Noun, program: Option<&Path>) {
        let walk = Walk { hq, noun, api: hq.api().await };
        let is_unknown = |field: &Field| field.input.required && value(field, 1).is_none();
        let is_made = noun.acts.create && noun.proof.is_none();
        if !is_made || noun.entity.fields.iter().any(is_unknown) {
            // A token cannot make its records, or they refer to others; rights and the empty page are the same for all
            // nouns.
            let missing = format!("{}/00000000-0000-0000-0000-000000000000", walk.path());
            walk.rights_to_write(&missing).await;
            return walk.empty_page().await;
        }
        walk.rights().await;
        walk.fields().await;
        walk.revisions().await;
        walk.repeats().await;
        walk.owners().await;
        walk.page().await;
        walk.undo_and_history().await;
        walk.ops().await;
        walk.one_answer(program).await;
    }

    fn path(&self) -> String {
        format!("/api/v1/{}", self.noun.plural)
    }

    fn at(&self, record: &Value) -> String {
        format!("{}/{}", self.path(), record["id"].as_str().expect("an id"))
    }

    fn entered(&self, is_new: bool) -> impl Iterator<Item = &'static Field> {
        self.noun.entity.fields.iter().filter(move |field| field.input.is_entered_when(is_new))
    }

    /// Body of a new record.
    fn body(&self, n: usize) -> Value {
        let all =
            self.entered(true).filter_map(|field| Some((field.key.to_owned(), value(field, n)?)));
        Value::Object(all.collect())
    }

    async fn make(&self, n: usize) -> Value {
        let made = self.api.post(&self.path(), &self.body(n)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let record = made.json();
        for (key, sent) in self.body(n).as_object().expect("fields") {
            let kind = self.noun.entity.field(key).expect("a field").input.kind;
            match kind {
                InputKind::Person => assert_eq!(record[key]["kind"], "person", "{record}"),
                InputKind::Moment => assert!(record[key].is_string(), "{record}"),
                _ => assert_eq!(&record[key], sent, "{key}: {record}"),
            }
        }
        record
    }

    async fn rights(&self) {
        let nobody = self.hq.nobody();
        assert_eq!(nobody.get(&self.path()).await.status, 401);
        let reader = self.hq.token(&["read"]).await;
        let made = self.make(1).await;
        assert_eq!(
            ok(&reader.get(&self.at(&made)).await),
            ok(&self.api.get(&self.at(&made)).await)
        );
        self.rights_to_write(&self.at(&made)).await;
    }

    /// A reader can do none of the noun's writes; `at` is the path of a record.
    async fn rights_to_write(&self, at: &str) {
        let reader = self.hq.token(&["read"]).await;
        let mut writes = Vec::new();
        if self.noun.acts.create {
            writes.push(("POST", self.path()));
        }
        if self.noun.acts.change {
            writes.push(("PATCH", at.to_owned()));
        }
        if self.noun.acts.delete {
            writes.push(("DELETE", at.to_owned()));
        }
        for op in self.noun.ops {
            let place = if op.on == On::One { at.to_owned() } else { self.path() };
            writes.push(("POST", format!("{place}/{}", op.name)));
        }
        for (method, path) in writes {
            let refused = reader.json(method, &path, &json!({})).await;
            assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text);
        }
    }

    async fn fields(&self) {
        let mut unknown = self.body(2);
        unknown["no_such_field"] = json!(1);
        let refused = self.api.post(&self.path(), &unknown).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "no_such_field");
        for field in self.entered(true) {
            let mut wrong = self.body(2);
            wrong[field.key] = misfit(field);
            let refused = self.api.post(&self.path(), &wrong).await;
            assert_eq!(refused.status, 422, "{}: {}", field.key, refused.text);
            assert_eq!(refused.json()["errors"][0]["field"], field.key, "{}", refused.text);
            if !field.input.required && !field.input.takes_null() && self.noun.acts.delete {
                // For a required field, null means the same as a missing value.
                let mut body = self.body(2);
                body[field.key] = Value::Null;
                let made = ok(&self.api.post(&self.path(), &body).await);
                if self.noun.acts.change && field.input.is_entered_when(false) {
                    let null = json!({ field.key: null });
                    let refused = self.api.json("PATCH", &self.at(&made), &null).await;
                    assert_eq!(refused.status, 422, "{}: {}", field.key, refused.text);
                }
                ok(&self.api.call("DELETE", &self.at(&made)).await);
            }
            if field.input.required {
                for empty in [None, Some(Value::Null), Some(json!("  "))] {
                    let mut body = self.body(2);
                    let fields = body.as_object_mut().expect("fields");
                    match empty {
                        None => drop(fields.remove(field.key)),
                        Some(empty) => drop(fields.insert(field.key.to_owned(), empty)),
                    }
                    let refused = self.api.post(&self.path(), &body).await;
                    assert_eq!(refused.status, 422, "{}: {}", field.key, refused.text);
                    assert_eq!(refused.json()["errors"][0]["field"], field.key, "{}", refused.text);
                }
            }
        }
        let twice = format!("{{\"{0}\": 1, \"{0}\": 2}}", self.noun.entity.fields[0].key);
        let twice = self.api.bytes("POST", &self.path(), "application/json", twice.into()).await;
        assert_eq!(twice.status, 422, "{}", twice.text);
        assert_eq!(self.api.get(&format!("{}/nothing-of-the-kind", self.path())).await.status, 404);
        let list = ok(&self.api.get(&self.path()).await).to_string();
        assert!(!list.contains("Ünit 2"), "nothing that was refused is kept");
    }

    /// A change of one field that every record can have.
    fn change(&self, n: usize) -> Value {
        let changes = self.entered(false).find_map(|field| Some((field.key, value(field, n)?)));
        let (key, value) = changes.expect("a field that can be changed");
        json!({ key: value })
    }

    async fn revisions(&self) {
        if !self.noun.acts.change {
            return;
        }
        let made = self.make(3).await;
        let shown = self.api.get(&self.at(&made)).await;
        let tag = shown.header("etag").expect("a tag").to_owned();
        let mine = self.api.clone().with("if-match", &tag);
        ok(&mine.json("PATCH", &self.at(&made), &self.change(4)).await);
        let stale = mine.json("PATCH", &self.at(&made), &self.change(5)).await;
        assert_eq!(stale.status, 412, "{}", stale.text);
        if self.noun.acts.delete {
            let stale = mine.json("DELETE", &self.at(&made), &json!({})).await;
            assert_eq!(stale.status, 412, "{}", stale.text);
            ok(&self.api.call("DELETE", &self.at(&made)).await);
            assert_eq!(self.api.get(&self.at(&made)).await.status, 404);
        }
    }

    async fn count(&self) -> usize {
        let list = ok(&self.api.get(&self.path()).await);
        list["items"].as_array().map_or(0, Vec::len)
    }

    async fn repeats(&self) {
        let before = self.count().await;
        let keyed = self.api.clone().with("idempotency-key", "walk-1");
        let first = ok(&keyed.post(&self.path(), &self.body(6)).await);
        assert_eq!(ok(&keyed.post(&self.path(), &self.body(6)).await), first);
        assert_eq!(self.count().await, before + 1);
        let other = keyed.post(&self.path(), &self.body(7)).await;
        assert_eq!(other.status, 409, "{}", other.text);
        if self.noun.acts.change {
            // By name if possible: the first request may change the name.
            let made = self.make(61).await;
            let title = made["name"].as_str().unwrap_or_default().replace(' ', "%20");
            let by_name = format!("{}/{title}", self.path());
            let is_found = self.api.get(&by_name).await.status == 200;
            let path = if is_found { by_name } else { self.at(&made) };
            let keyed = self.api.clone().with("idempotency-key", "walk-3");
            let first = ok(&keyed.json("PATCH", &path, &self.change(62)).await);
            assert_eq!(ok(&keyed.json("PATCH", &path, &self.change(62)).await), first);
            if self.noun.acts.delete {
                ok(&self.api.call("DELETE", &self.at(&made)).await);
            }
        }
        let before = self.count().await - 1;
        if self.noun.acts.delete {
            let keyed = self.api.clone().with("idempotency-key", "walk-2");
            let gone = keyed.call("DELETE", &self.at(&first)).await;
            let again = keyed.call("DELETE", &self.at(&first)).await;
            assert_eq!((gone.status, &gone.text), (again.status, &again.text));
            assert_eq!(self.count().await, before);
        }
    }

    /// Private records are invisible to others.
    async fn owners(&self) {
        if self.noun.entity.own.is_none() {
            return;
        }
        let mine = self.make(63).await;
        let other = self.hq.another("Neighbour", Some(kernel::Role::Member)).await;
        assert_eq!(other.get(&self.at(&mine)).await.status, 404);
        let changed = other.json("PATCH", &self.at(&mine), &self.change(64)).await;
        assert_eq!(changed.status, 404, "{}", changed.text);
        assert_eq!(other.call("DELETE", &self.at(&mine)).await.status, 404);
        let id = mine["id"].as_str().expect("an id");
        assert!(!ok(&other.get(&self.path()).await).to_string().contains(id));
        let feed = ok(&other.get("/api/v1/changes?after=start&limit=100").await);
        for entry in feed["items"].as_array().expect("entries") {
            assert!(!entry["events"].to_string().contains(id), "no event tells of it: {entry}");
        }
    }

    /// Form fields for a JSON body.
    fn typed(body: &Value) -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => if *yes { "on" } else { "" }.to_owned(),
            other => other.to_string(),
        };
        let all = body.as_object().expect("fields").iter();
        all.map(|(key, value)| (key.clone(), text(value))).collect()
    }

    async fn empty_page(&self) {
        let Some(page) = self.noun.page else { return };
        let here = format!("/w/marlow-cargo/settings/{}", self.noun.plural);
        let shown = self.hq.owner().get(&here).await;
        assert!(shown.text.contains(page.title), "{}", shown.text);
        assert!(shown.text.contains(&format!("No {} yet.", self.noun.entity.many)));
    }

    async fn page(&self) {
        let Some(page) = self.noun.page else { return };
        let owner = self.hq.owner();
        let here = format!("/w/marlow-cargo/settings/{}", self.noun.plural);
        let shown = owner.get(&here).await;
        assert!(shown.text.contains(page.title), "{}", shown.text);
        let menu = shown.attrs(".set-nav a[aria-current]", "href");
        assert_eq!(menu, [&*here], "the menu says where one is");
        let before = self.count().await;
        let mut typed = Self::typed(&self.body(8));
        typed.push(("once".to_owned(), "walk-form".to_owned()));
        let typed: Vec<(&str, &str)> =
            typed.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        for _ in 0..2 {
            let sent = owner.form(&here, &typed).await;
            assert_eq!(sent.status, 303, "{}", sent.text);
        }
        assert_eq!(self.count().await, before + 1, "a form that is sent twice makes one record");
        if let Some(field) = self.entered(true).find(|field| field.input.required) {
            let refused = owner.form(&here, &[(field.key, "")]).await;
            assert_eq!(refused.status, 422, "{}", refused.text);
            let says = refused.text_of(&format!("#f-{}-says", field.key));
            assert!(!says.trim().is_empty(), "the field says what is wrong");
        }
        let viewer = self.hq.another("Walker", Some(kernel::Role::Viewer)).await;
        let seen = viewer.get(&here).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        assert!(seen.attrs("main form[method=post]", "action").is_empty(), "{}", seen.text);
        assert_eq!(viewer.form(&here, &typed).await.status, 403);
    }

    fn row(&self, record: &Value) -> Option<Vec<u8>> {
        let key =
            (self.noun.entity.rows.key)(record["id"].as_str().expect("an id")).expect("a key");
        let ws = self.hq.ws();
        let row = ws.read(|snap| snap.raw_get(self.noun.entity.table, &key)).expect("readable");
        // After version and revision.
        row.map(|row| store::codec::unwrap(&row).expect("a row").2.to_vec())
    }

    async fn undo_and_history(&self) {
        if !self.noun.acts.change || self.noun.entity.undo.is_none() {
            return;
        }
        let made = self.make(9).await;
        let id = made["id"].as_str().expect("an id");
        let (before, change) = (self.row(&made), self.change(10));
        ok(&self.api.json("PATCH", &self.at(&made), &change).await);
        assert_ne!(self.row(&made), before);
        let topic = self.noun.entity.topic;
        let told = ok(&self.api.get(&format!("/api/v1/history/{topic}/{id}")).await);
        let newest = &told["items"][0];
        let key = change.as_object().and_then(|map| map.keys().next()).expect("a field");
        assert!(newest["fields"].to_string().contains(key.as_str()), "{newest}");
        let body = json!({ "change": { "seq": newest["seq"], "table": topic, "id": id } });
        ok(&self.api.post("/api/v1/undo", &body).await);
        let back = ok(&self.api.get(&self.at(&made)).await);
        assert_eq!(back[key], made[key], "{back}");
        if self.noun.acts.delete {
            let whole = self.row(&made);
            ok(&self.api.call("DELETE", &self.at(&made)).await);
            assert_eq!(self.row(&made), None);
            let told = ok(&self.api.get(&format!("/api/v1/history/{topic}/{id}")).await);
            let body =
                json!({ "change": { "seq": told["items"][0]["seq"], "table": topic, "id": id } });
            ok(&self.api.post("/api/v1/undo", &body).await);
            assert_eq!(self.row(&made), whole, "an undo brings back every byte");
        }
    }

    /// Input of an operation; record fields name another record.
    async fn input(&self, op: &Op, n: usize) -> Value {
        let mut input = Map::new();
        for field in op.input {
            let value = match field.input.kind {
                InputKind::Record(word) if word == self.noun.entity.word => {
                    self.make(n + 20).await["id"].clone()
                }
                _ => value(field, n).unwrap_or(Value::Null),
            };
            input.insert(field.key.to_owned(), value);
        }
        Value::Object(input)
    }

    async fn ops(&self) {
        for (n, op) in self.noun.ops.iter().enumerate() {
            let made = self.make(30 + n).await;
            let place = if op.on == On::One { self.at(&made) } else { self.path() };
            let path = format!("{place}/{}", op.name);
            let unknown = self.api.post(&path, &json!({ "no_such_field": 1 })).await;
            assert_eq!(unknown.status, 422, "{}", unknown.text);
            let input = self.input(op, 50 + n).await;
            if op.on == On::One && self.noun.acts.change {
                let shown = self.api.get(&self.at(&made)).await;
                let tag = shown.header("etag").expect("a tag").to_owned();
                ok(&self.api.json("PATCH", &self.at(&made), &self.change(95 + n)).await);
                let stale = self.api.clone().with("if-match", &tag).post(&path, &input).await;
                assert_eq!(stale.status, 412, "{}: {}", op.name, stale.text);
            }
            let keyed = self.api.clone().with("idempotency-key", &format!("walk-op-{n}"));
            let first = keyed.post(&path, &input).await;
            ok(&first);
            let again = keyed.post(&path, &input).await;
            assert_eq!((first.status, &first.text), (again.status, &again.text), "{}", op.name);
            if self.noun.page.is_some() {
                self.op_form(op, n).await;
            }
        }
    }

    /// The form of an operation that is submitted twice runs once, even if it deletes its record.
    async fn op_form(&self, op: &Op, n: usize) {
        let made = self.make(80 + n).await;
        let mut typed = Self::typed(&self.input(op, 90 + n).await);
        typed.push(("once".to_owned(), format!("walk-op-form-{n}")));
        let typed: Vec<(&str, &str)> =
            typed.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let here = format!("/w/marlow-cargo/settings/{}", self.noun.plural);
        let place = match op.on {
            On::One => format!("{here}/{}/{}", made["id"].as_str().expect("an id"), op.name),
            On::All => format!("{here}/all/{}", op.name),
        };
        let owner = self.hq.owner();
        for _ in 0..2 {
            let sent = owner.form(&place, &typed).await;
            assert_eq!(sent.status, 303, "{}: {}", op.name, sent.text);
        }
    }

    /// API, tools and command line return the same records.
    async fn one_answer(&self, program: Option<&Path>) {
        let list = ok(&self.api.get(&self.path()).await);
        if !self.noun.tools.list.is_empty() {
            let name = format!("{}_list", self.noun.entity.word);
            let said = self.call(&name, "{}").await;
            let said: Value = serde_json::from_str(&said.text).expect("JSON");
            let said = if said.is_array() { said } else { said["items"].clone() };
            let names = |list: &Value| -> Vec<Value> {
                list.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect()
            };
            let all = &list["items"];
            assert_eq!(names(&said)[..names(all).len()], names(all)[..]);
            for (one, shown) in
                said.as_array().expect("a list").iter().zip(all.as_array().expect("a list"))
            {
                for (key, value) in one.as_object().expect("fields") {
                    assert_eq!(value, &shown[key], "{key}");
                }
            }
        }
        if !self.noun.tools.save.is_empty() {
            let name = format!("{}_save", self.noun.entity.word);
            let body = self.body(70);
            let said = self.call(&name, &body.to_string()).await;
            assert!(!said.is_error, "{}", said.text);
            let required = self.entered(true).find(|field| field.input.required);
            if let Some(field) =
                required.filter(|field| matches!(field.input.kind, InputKind::Line))
            {
                let title = body[field.key].as_str().expect("a text").to_owned();
                let mut change = self.change(70);
                change[self.noun.entity.word] = json!(title);
                let said = self.call(&name, &change.to_string()).await;
                assert!(said.text.starts_with("Saved"), "{}", said.text);
            }
        }
        let Some(program) = program.filter(|_| self.noun.commands) else { return };
        let token = self.api.header("authorization");
        let token = token.strip_prefix("Bearer ").expect("a token").to_owned();
        let (url, word) = (self.hq.url(), self.noun.entity.word);
        let run = move |args: Vec<String>| {
            let mut command = std::process::Command::new(program);
            command.args(args).arg("--json").env("HQ_URL", &url).env("HQ_TOKEN", &token);
            command.output().expect("the program starts")
        };
        let asked = |args: &[&str]| args.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let list = ok(&self.api.get(&self.path()).await);
        let said = run(asked(&[word, "list"]));
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "{text} {}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), list);
        let first = &list["items"][0];
        let said = run(asked(&[word, "show", first["id"].as_str().expect("an id")]));
        let shown: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        assert_eq!(shown, ok(&self.api.get(&self.at(first)).await));
    }

    async fn call(&self, name: &str, arguments: &str) -> ToolOutput {
        let registry = kit::tools(self.noun);
        let entry = registry.get(name).unwrap_or_else(|| panic!("no tool {name}"));
        let arguments = entry.canonical(arguments).expect("arguments");
        let cx = self.cx();
        let lease = Lease::granted(arguments);
        match &entry.tool {
            AnyTool::Read(tool) => tool.read(&cx, lease).await.expect("an answer"),
            AnyTool::Write(tool) => {
                let commit = tool.ready(&cx, lease).await.expect("a change");
                let by = (kernel::Actor::System(kernel::Part::Setup), kernel::Cause::Setup);
                let at = cx.clone();
                let done = self.hq.ws().write(&by, move |tx| {
                    commit(&at, tx).map_err(|error| match error {
                        tool::ToolError::Refused { message, .. }
                        | tool::ToolError::Failed { message, .. } => {
                            store::StoreError::Failed(message)
                        }
                    })
                });
                done.await.expect("it is kept")
            }
            _ => panic!("tools of the kit read or write"),
        }
    }

    fn cx(&self) -> ToolCx {
        ToolCx {
            ws: self.hq.ws(),
            agent: AgentId::from_bytes([7; 16]),
            run: RunId::from_bytes([8; 16]),
            number: 1,
            step: 1,
            session: SessionId::from_bytes([9; 16]),
            item: None,
            task: None,
            folder: self.hq.data(),
            max_result: 64 * 1024,
            seen: Arc::default(),
            child: None,
            tools: tool::Toolset::default(),
            cancel: tokio_util::sync::CancellationToken::new(),
        }
    }
}
