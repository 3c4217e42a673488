//! Web search by the provider of a model connection, for workspaces whose own engines fail or that have none. The call
//! is paid like any call of a model.

use std::sync::Arc;

use app::Ws;
use features::connections::model::Connection;
use features::connections::provider;
use features::connections::queries::{self as connections, eligible};
use features::usage::queries as usage;
use features::usage::rules::{self as paid, Admitted, Ask, Spent, UsageError};
use features::workspace::queries as workspace;
use kernel::{Actor, CallKind, Cause, ConnectionId, Error};
use providers::Provider;
use providers::bound::{Size, lost};
use providers::catalog::Model;
use providers::error::{ErrorClass, ProviderError};
use providers::native_search::{SearchRequest, Searched, Searching};
use store::StoreError;
use tool::{ToolCx, ToolError};

use super::rules::Caller;
use crate::engines::{Citation, Fault, FaultKind, Found, Query};

/// Longest answer, in tokens.
const MAX_OUTPUT: u32 = 4_096;
/// Size of what a provider reads for an answer, in bytes. It is billed as input.
const PAGES: u64 = 60_000;

/// A connection whose provider searches the web.
pub(super) struct Native {
    connection: ConnectionId,
    pub name: String,
    provider: Arc<dyn Provider>,
    model: String,
    known: Model,
    searching: Searching,
}

/// The first usable connection whose provider searches; the workspace's own choice comes first. Blocking.
pub(super) fn ready(ws: &Ws) -> Result<Option<Native>, StoreError> {
    let now = ws.app.clock.now();
    let usable = ws.read(|snap| {
        let settings = workspace::settings(snap)?;
        let first = settings.and_then(|settings| settings.default_connection);
        let mut all = connections::all(snap)?;
        all.sort_by_key(|one| Some(one.id) != first);
        let mut usable: Vec<Connection> = Vec::new();
        for one in all {
            if eligible::why_not(snap, &one, &ws.app.keyring, now)?.is_none() {
                usable.push(one);
            }
        }
        Ok::<_, StoreError>(usable)
    })?;
    Ok(usable.into_iter().find_map(|one| opened(ws, one)))
}

fn opened(ws: &Ws, connection: Connection) -> Option<Native> {
    let id = connection.id;
    let model = connections::first_model(&connection)?;
    // ok: a connection that cannot be opened cannot search; its page gives the reason.
    let provider = provider::provider(ws, Some(id)).ok()?;
    let searching = provider.searching(&model)?;
    // ok: as above.
    let known = provider::known(ws, Some(id), &*provider, &model).ok()?;
    Some(Native { connection: id, name: connection.name, provider, model, known, searching })
}

/// Searches. The inner error says why there is no answer.
///
/// # Errors
/// If the call was stopped, or its cost cannot be stored.
pub(super) async fn search(
    cx: &ToolCx,
    native: &Native,
    query: &Query,
    caller: Caller,
) -> Result<Result<Found, Fault>, ToolError> {
    let by = (Actor::Agent { agent: cx.agent, run: cx.run }, Cause::Step(cx.run, cx.step));
    let mut request = native.request(query);
    let size = Size { bytes: request.text.len() as u64 + PAGES, images: 0 };
    let (provider, model) = (native.provider.name(), native.model.clone());
    let (connection, known) = (native.connection, native.known.clone());
    let fee_micros = native.searching.max_fee_micros;
    let heeds_limit = native.provider.heeds_limit(&model);
    let admit = move |tx: &mut store::WriteTx<'_>| {
        let ask = Ask {
            agent: caller.agent,
            run: caller.run,
            call: caller.step,
            kind: CallKind::Search,
            connection: Some(connection),
            provider,
            name: &model,
            model: &known,
            size,
            max_output: MAX_OUTPUT,
            heeds_limit,
            percent: 100,
            fee_micros,
            id: None,
        };
        paid::admit(tx, &ask)
    };
    let admitted = match cx.ws.write(&by, admit).await {
        Ok(admitted) => admitted,
        Err(error @ UsageError::OverBudget(_)) => {
            let message = format!("{}: {error}", native.name);
            return Ok(Err(Fault { kind: FaultKind::Refused, message }));
        }
        Err(error) => return Err(Error::of(error).into()),
    };
    request.max_output = admitted.bound.max_output;
    let asked = tokio::select! {
        asked = native.provider.search(&request) => Some(asked),
        () = cx.cancel.cancelled() => None,
    };
    let end = native.end(&admitted, size, asked.as_ref());
    let reservation = admitted.reservation;
    let book = move |tx: &mut store::WriteTx<'_>| match end {
        End::Answered(spent) => paid::settle(tx, reservation, spent).map(drop),
        End::Unknown(spent) => paid::book_lost(tx, reservation, spent).map(drop),
        End::Refused => paid::release(tx, reservation),
    };
    cx.ws.write(&by, book).await.map_err(Error::of)?;
    match asked {
        None => Err(ToolError::refused("aborted", "stopped")),
        Some(Err(error)) => Ok(Err(native.fault(&error))),
        Some(Ok(answer)) if answer.sources.is_empty() => {
            let message = format!("{} answered without sources", native.name);
            Ok(Err(Fault { kind: FaultKind::Failed, message }))
        }
        Some(Ok(answer)) => Ok(Ok(found(answer, unmet(query, native.searching.has_filters)))),
    }
}

/// How a call ended, for its cost.
enum End {
    Answered(Spent),
    /// It may be billed.
    Unknown(Spent),
    Refused,
}

impl Native {
    fn request(&self, query: &Query) -> SearchRequest {
        SearchRequest {
            model: self.model.clone(),
            text: words(query),
            country: query.country.clone(),
            domains: query.domains.clone(),
            max_output: MAX_OUTPUT,
        }
    }

    fn end(
        &self,
        admitted: &Admitted,
        size: Size,
        asked: Option<&Result<Searched, ProviderError>>,
    ) -> End {
        let input = size.tokens(&self.known, admitted.ratio);
        let guess = || lost(input, 0, admitted.ratio);
        let spent = |tokens, model: &str, fee: u64, counted| {
            let fee = i64::try_from(fee).unwrap_or(i64::MAX);
            let billed = usage::bill(&admitted.model, &tokens);
            // The price of the searches is known even if that of the tokens is not.
            let billed = match (billed, fee) {
                (None, 0) => None,
                (billed, fee) => Some(billed.unwrap_or(0).saturating_add(fee)),
            };
            Spent {
                connection: Some(self.connection),
                provider: self.provider.name().to_owned(),
                model: model.to_owned(),
                tokens,
                counted,
                billed_micros: usage::believed(billed),
                // The pages that the provider read say nothing about the request.
                size: None,
            }
        };
        match asked {
            Some(Ok(answer)) => {
                let tokens = usage::believed_tokens(answer.usage.unwrap_or_else(guess));
                let counted = answer.usage.is_some();
                End::Answered(spent(tokens, &answer.model, answer.fee_micros, counted))
            }
            Some(Err(error)) if !error.sent => End::Refused,
            Some(Err(_)) | None => End::Unknown(spent(guess(), &self.model, 0, false)),
        }
    }

    fn fault(&self, error: &ProviderError) -> Fault {
        let kind = match error.class {
            ErrorClass::RateLimit => FaultKind::RateLimited,
            ErrorClass::Auth | ErrorClass::AuthPermanent => FaultKind::Refused,
            ErrorClass::Timeout | ErrorClass::Network => FaultKind::Unreachable,
            _ => FaultKind::Failed,
        };
        // The provider's own words may quote strangers.
        Fault { kind, message: format!("{} could not search ({})", self.name, error.class.word()) }
    }
}

/// Conditions to which the provider cannot be limited. Its model is only asked to meet them.
fn unmet(query: &Query, has_filters: bool) -> Vec<&'static str> {
    [
        ("country", !has_filters && !query.country.is_empty()),
        ("domains", !has_filters && !query.domains.is_empty()),
        ("language", !query.language.is_empty()),
        ("freshness", query.freshness.is_some()),
        ("dates", query.from.is_some() || query.to.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_unmet)| is_unmet.then_some(name))
    .collect()
}

fn found(answer: Searched, ignored: Vec<&'static str>) -> Found {
    let line = |text: &str| kernel::text::one_line(text).trim().to_owned();
    let citation = |one: providers::native_search::Source| Citation {
        title: if one.title.is_empty() { line(&one.url) } else { line(&one.title) },
        url: one.url,
    };
    let citations = answer.sources.into_iter().map(citation).collect();
    Found::Answer { content: answer.text.trim().to_owned(), citations, ignored }
}

/// The search in words, with all conditions.
fn words(query: &Query) -> String {
    let mut text = format!(
        "Search the web and answer briefly with what the pages say, with citations. Search for: {}",
        query.query
    );
    if !query.domains.is_empty() {
        text.push_str(&format!("\nOnly pages of: {}", query.domains.join(", ")));
    }
    if !query.language.is_empty() {
        text.push_str(&format!("\nOnly pages in the language: {}", query.language));
    }
    if let Some(freshness) = query.freshness {
        text.push_str(&format!("\nOnly pages of the last {}.", freshness.word()));
    }
    if let Some(from) = query.from {
        text.push_str(&format!("\nOnly pages since {from}."));
    }
    if let Some(to) = query.to {
        text.push_str(&format!("\nOnly pages until {to}."));
    }
    text.push_str(&format!("\nToday is {}.", query.today));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_a_provider_is_only_asked_to_meet_are_named() {
        let day = jiff::civil::date(2026, 11, 30);
        let query = Query {
            country: "de".into(),
            language: "de".into(),
            domains: vec!["a.example".into()],
            from: Some(day),
            ..Query::new("rust", day)
        };
        assert_eq!(unmet(&query, true), ["language", "dates"]);
        assert_eq!(unmet(&query, false), ["country", "domains", "language", "dates"]);
        assert!(unmet(&Query::new("rust", day), false).is_empty());
    }
}
