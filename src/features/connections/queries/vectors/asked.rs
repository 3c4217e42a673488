//! Embedding requests to a connection. The workspace pays: the maximum cost is reserved before each request and the
//! actual cost is booked after it.

use std::sync::Arc;

use app::Ws;
use crypto::redact::Spot;
use kernel::{Actor, CallEnd, CallKind, Cause, ConnectionId, Part};
use providers::Provider;
use providers::catalog::Model;
use providers::embedding::{EmbedRequest, Embedded, MOST, Purpose};
use providers::error::ProviderError;
use providers::model::Usage as Tokens;
use store::ReadExt as _;

use super::{VectorError, priced};
use crate::connections::checks;
use crate::connections::model::{Connection, Maker};
use crate::connections::provider::provider;
use crate::connections::rules::ConnectionError;
use crate::connections::rules::paid::{self, Spent};

/// Automatic requests have no author.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

/// Result of embedding requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// One unit-length vector per text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read, as counted by the server or estimated.
    pub tokens: u64,
}

/// A connection and model ready for embedding requests.
pub(in crate::connections) struct Line {
    connection: ConnectionId,
    model: String,
    known: Model,
    provider: Arc<dyn Provider>,
}

impl Line {
    pub(in crate::connections) fn of(
        ws: &Ws,
        connection: ConnectionId,
        model: &str,
    ) -> Result<Self, VectorError> {
        let now = ws.app.clock.now();
        let known = ws.read(|snap| {
            let stored = snap.get::<Connection>(connection)?;
            let stored = stored.ok_or(ConnectionError::NotFound(connection))?;
            priced(snap, &stored, (model, now))
        })?;
        let provider = provider(ws, Some(connection))?;
        Ok(Self { connection, model: model.to_owned(), known, provider })
    }

    pub(in crate::connections) async fn ask(
        &self,
        ws: &Ws,
        texts: Vec<String>,
        purpose: Purpose,
    ) -> Result<Embedded, VectorError> {
        let request = EmbedRequest { model: self.model.clone(), texts, purpose };
        let call = Spent {
            kind: CallKind::Embedding,
            provider: self.provider.name(),
            requested: self.model.clone(),
            model: self.model.clone(),
            tokens: None,
            known: self.known.clone(),
            end: CallEnd::Refused,
        };
        let (id, asking, size) = (self.connection, call.clone(), request.size());
        let held = ws.write(&BY, move |tx| paid::hold_sent(tx, id, &asking, size)).await?;
        let answer = self.provider.embed(&request).await;
        let spent = match &answer {
            Ok(made) => {
                let tokens = made.tokens.map(|input| Tokens { input, ..Tokens::default() });
                Spent { tokens, end: CallEnd::Answered, ..call }
            }
            Err(error) => checks::ended(call, Some(error.class)),
        };
        ws.write(&BY, move |tx| paid::close(tx, id, (held, spent))).await?;
        answer.map_err(|error| vector_error(ws, &error))
    }
}

fn vector_error(ws: &Ws, error: &ProviderError) -> VectorError {
    let message = error.class.explained(&error.message);
    VectorError::Provider {
        class: error.class,
        message: ws.app.redactor.masked(Spot::Errors, &message).into_owned(),
        wait: error.retry_after,
    }
}

/// Embeds any number of texts.
///
/// # Errors
/// If the budget is insufficient, the provider fails, or the vector length has changed.
pub async fn made(
    ws: &Ws,
    maker: &Maker,
    (texts, purpose): (Vec<String>, Purpose),
) -> Result<Made, VectorError> {
    let line = Line::of(ws, maker.connection, &maker.model)?;
    let mut made = Made { vectors: Vec::new(), tokens: 0 };
    let mut rest = texts.into_iter();
    loop {
        let some: Vec<String> = rest.by_ref().take(MOST).collect();
        if some.is_empty() {
            return Ok(made);
        }
        let bytes: u64 = some.iter().map(|text| text.len() as u64).sum();
        let answer = line.ask(ws, some, purpose).await?;
        let found = answer.vectors.first().map_or(0, Vec::len);
        if found != maker.length() {
            return Err(VectorError::Length { found, wanted: maker.length() });
        }
        made.tokens += answer.tokens.unwrap_or(bytes.div_ceil(4));
        made.vectors.extend(answer.vectors);
    }
}
