//! The JSON API of a noun: list, create, show, change, delete, and a route per operation.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use entity::{Field, Mode, Values};
use kernel::{Error, ProblemKind};
use serde_json::{Map, Value, json};
use store::{Read, WriteTx};
use web::cx::{Cx, sync};
use web::error::Failure;
use web::etag::with_etag;
use web::idempotency::Once;
use web::routes::{Doc, Guarded, Routes};

use crate::names;
use crate::records::{self, PageRequest, Reader};
use crate::{Answers, Deleted, Noun, On, Op, OpCx, Reply, Run, schema, upload};

/// Routes of a noun, relative to `/api/v1`.
#[must_use]
pub fn routes(noun: &'static Noun) -> Routes {
    let param = if noun.param.is_empty() { noun.entity.word } else { noun.param };
    let (all, one) = (format!("/{}", noun.plural), format!("/{}/{{{param}}}", noun.plural));
    let documented = |guarded: Guarded, doc: fn(&'static Noun) -> Doc| {
        guarded.doc_of(Arc::new(move || doc(noun)))
    };
    let read = noun.entity.read;
    let mut routes = Routes::new()
        .get(all.clone(), documented(sync(read, move |cx| list(noun, cx)), schema::list_doc))
        .get(one.clone(), documented(sync(read, move |cx| show(noun, cx)), schema::show_doc));
    if noun.acts.create {
        let create = sync(noun.write, move |cx| create(noun, cx));
        routes = routes.post(all.clone(), documented(create, schema::create_doc));
    }
    if noun.acts.change {
        let change = sync(noun.write, move |cx| change(noun, cx));
        routes = routes.patch(one.clone(), documented(change, schema::change_doc));
    }
    if noun.acts.delete {
        let delete = sync(noun.write, move |cx| delete(noun, cx));
        routes = routes.delete(one.clone(), documented(delete, schema::delete_doc));
    }
    for op in noun.ops {
        let place = if op.on == On::One { &one } else { &all };
        let run = upload::route(op, move |cx| operate(noun, op, cx));
        let doc = Arc::new(move || schema::op_doc(noun, op));
        routes = routes.post(format!("{place}/{}", op.name), run.doc_of(doc));
    }
    routes
}

fn reader(cx: &Cx) -> Reader {
    Reader::person(cx.who.account)
}

fn list(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let params = noun.select.map_or(&[][..], |select| select.params);
    let mut known: Vec<&str> = params.iter().map(|field| field.key).collect();
    if noun.is_paged() {
        known.extend(schema::LIST_QUERY);
    }
    cx.only_query(&known)?;
    let given = params.iter().filter_map(|field| Some((field, cx.query(field.key)?)));
    let sent =
        given.map(|(field, text)| (field.key.to_owned(), field.parse_input(&text))).collect();
    let (after, words) = (cx.query("after"), cx.query("q").unwrap_or_default());
    let limit = if noun.is_paged() { limit(cx)? } else { 0 };
    let page = cx.read(|read| {
        let params = names::values(params, sent, Mode::Whole, (read, reader(cx).me))
            .map_err(|error| error.with_code("bad_query"))?;
        let request = PageRequest { after: after.as_deref(), words: &words, limit, params };
        records::list(noun, read, reader(cx), &request)
    })?;
    let items: Vec<Value> = page.items.into_iter().map(|one| Value::Object(one.fields)).collect();
    Ok(Json(json!({ "items": items, "next": page.next })).into_response())
}

fn limit(cx: &Cx) -> Result<usize, Failure> {
    let Some(text) = cx.query("limit") else { return Ok(kernel::cursor::DEFAULT_LIMIT) };
    let most = kernel::cursor::MAX_LIMIT;
    match text.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Error::field("limit", format!("Enter a number from 1 to {most}.")).into()),
    }
}

fn show(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let name: String = cx.path(0)?;
    let shown = cx.read(|read| {
        let key = records::find(noun, read, reader(cx), &name)?;
        records::one(noun, read, reader(cx), &key)
    })?;
    Ok(with_etag(Json(Value::Object(shown.fields)).into_response(), shown.rev))
}

fn create(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let once = cx.once()?;
    if let Some(reply) = answered(cx, &once)? {
        return answer(noun, cx, reply, StatusCode::CREATED);
    }
    let values = values(noun.entity.fields, cx, Mode::Whole)?;
    noun.check_proof(&cx.who, "create", &values)?;
    let values = noun.completed(&cx.ws, None, values)?;
    let reply = kept(cx, once, move |tx| Ok(Reply::Record(noun.entity.create(tx, &values)?)))?;
    answer(noun, cx, reply, StatusCode::CREATED)
}

fn change(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let (once, rev) = (cx.once()?, cx.rev()?);
    if let Some(reply) = answered(cx, &once)? {
        return answer(noun, cx, reply, StatusCode::OK);
    }
    let name: String = cx.path(0)?;
    let key = cx.read(|read| records::find(noun, read, reader(cx), &name))?;
    let values = values(noun.entity.fields, cx, Mode::Change)?;
    noun.check_proof(&cx.who, "change", &values)?;
    let values = noun.completed(&cx.ws, Some(&key), values)?;
    let me = reader(cx);
    let reply = kept(cx, once, move |tx| {
        records::check(noun, tx, me, &key, None)?;
        noun.entity.update(tx, &key, rev, &values)?;
        Ok(Reply::Record(key))
    })?;
    answer(noun, cx, reply, StatusCode::OK)
}

fn delete(noun: &'static Noun, cx: &Cx) -> Result<Response, Failure> {
    let (once, rev) = (cx.once()?, cx.rev()?);
    let name: String = cx.path(0)?;
    let me = reader(cx);
    let reply = kept(cx, once, move |tx| {
        let key = records::find(noun, tx, me, &name)?;
        let gone = records::one(noun, tx, me, &key)?;
        noun.entity.remove(tx, &key, rev)?;
        Ok(match noun.deleted {
            Deleted::Record => Reply::json(&Value::Object(gone.fields)),
            Deleted::Nothing => Reply::Empty,
        })
    })?;
    answer(noun, cx, reply, StatusCode::OK)
}

fn operate(noun: &'static Noun, op: &'static Op, cx: &Cx) -> Result<Response, Failure> {
    let (once, rev) = (once_of(op, cx)?, cx.rev()?);
    if let Some(reply) = answered(cx, &once)? {
        return answer(noun, cx, reply, StatusCode::OK);
    }
    let me = reader(cx);
    let key = match op.on {
        On::All => None,
        On::One => {
            let name: String = cx.path(0)?;
            Some(cx.read(|read| {
                let key = records::find(noun, read, me, &name)?;
                records::check(noun, read, me, &key, rev)?;
                Ok::<_, Error>(key)
            })?)
        }
    };
    let values = match upload::of_request(op, cx, me.me)? {
        Some(values) => values,
        None => values(op.input, cx, Mode::Whole)?,
    };
    noun.check_proof(&cx.who, op.name, &values)?;
    let prepared = prepare(noun, op, key.as_deref(), &values, &cx.ws)?;
    let reply = kept(cx, once, move |tx| {
        if let Some(key) = &key {
            // It may have changed, or become another person's private record, during the preparation.
            records::check(noun, tx, me, key, rev_after(op, rev))?;
        }
        let at = OpCx { noun, key: key.as_deref(), input: &values };
        run(op, &at, tx, prepared)
    })?;
    answer(noun, cx, reply, StatusCode::OK)
}

/// The key of a request for an operation. Responses with a secret are not kept.
pub(crate) fn once_of(op: &Op, cx: &Cx) -> Result<Once, Failure> {
    match op.answers {
        Answers::Secret(_) | Answers::Link(_) => Ok(Once::without_key()),
        _ => cx.once(),
    }
}

/// The revision that the record must still have after the first step of an operation. A result such as that of a test
/// is returned even if the first step changed the record, because the effect has already happened.
pub(crate) fn rev_after(op: &Op, rev: Option<u64>) -> Option<u64> {
    match (op.run, op.answers) {
        (Run::Prepared(..), Answers::Json(_) | Answers::Link(_)) => None,
        _ => rev,
    }
}

/// Runs the first step of an operation, if it has one.
pub(crate) fn prepare(
    noun: &'static Noun,
    op: &'static Op,
    key: Option<&[u8]>,
    input: &Values,
    ws: &app::Ws,
) -> Result<Option<crate::Prepared>, Error> {
    match op.run {
        Run::Write(_) => Ok(None),
        Run::Prepared(prepare, _) => prepare(&OpCx { noun, key, input }, ws).map(Some),
    }
}

/// Runs an operation in its transaction.
pub(crate) fn run(
    op: &'static Op,
    at: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Option<crate::Prepared>,
) -> Result<Reply, Error> {
    match (op.run, prepared) {
        (Run::Write(run), _) => run(at, tx),
        (Run::Prepared(_, run), Some(prepared)) => run(at, tx, prepared),
        (Run::Prepared(..), None) => {
            Err(Error::new(ProblemKind::Internal, "internal", "an operation was not prepared"))
        }
    }
}

/// Replies of the kit are stored in another format than those of other routes.
const KEPT: &str = "kit";

/// Runs a write once per idempotency key.
fn kept(
    cx: &Cx,
    once: Once,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<Reply, Error> + Send + 'static,
) -> Result<Reply, Failure> {
    Ok(cx.write(keyed(once).run(body))?)
}

/// The stored reply to an earlier request with this key. Checked before the record is looked up, which that request may
/// have renamed or deleted, and before an operation is prepared, which may have external effects.
fn answered(cx: &Cx, once: &Once) -> Result<Option<Reply>, Failure> {
    if !once.is_keyed() {
        return Ok(None);
    }
    Ok(cx.read(|read| keyed(once.clone()).answered::<Reply>(read))?)
}

fn keyed(once: Once) -> Once {
    if once.is_keyed() { once.also(KEPT) } else { once }
}

/// Parses the fields of a JSON body.
fn values(fields: &'static [Field], cx: &Cx, mode: Mode) -> Result<Values, Failure> {
    let sent: Map<String, Value> = cx.json()?;
    Ok(cx.read(|read| names::values(fields, sent, mode, (read, reader(cx).me)))?)
}

fn answer(
    noun: &'static Noun,
    cx: &Cx,
    reply: Reply,
    status: StatusCode,
) -> Result<Response, Failure> {
    Ok(match reply {
        Reply::Record(key) => {
            let shown = cx.read(|read: &dyn Read| records::one(noun, read, reader(cx), &key))?;
            with_etag((status, Json(Value::Object(shown.fields))).into_response(), shown.rev)
        }
        Reply::Json(text) => {
            let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
            (status, json, text).into_response()
        }
        Reply::Empty => StatusCode::NO_CONTENT.into_response(),
    })
}
