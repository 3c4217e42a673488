//! What each model came to in a month, as a table and as a file for a spreadsheet.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use crate::app::Ws;
use crate::features::agents::model::Agent;
use crate::features::tasks::model::Task;
use crate::features::usage::model::day::{Sums, UsageDay};
use crate::features::usage::model::nobody;
use crate::features::usage::period::Month;
use crate::features::usage::queries::daily;
use crate::store::{ReadExt as _, StoreError};
use crate::web::error::PageError;
use crate::web::extract::Query;
use crate::web::format;

use super::{Asked, wanted};

/// A model as a row.
pub(super) struct ModelRow {
    pub model: String,
    pub provider: String,
    pub calls: String,
    pub input: String,
    pub cached: String,
    pub output: String,
    pub billed: String,
    pub list: String,
    pub note: String,
}

/// All models, the dearest first, and the sum of them.
pub(super) fn models(days: &[UsageDay]) -> (Vec<ModelRow>, ModelRow) {
    let mut all: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    let mut in_all = Sums::default();
    for day in days {
        *all.entry((&day.model, &day.provider)).or_default() += day.sums;
        in_all += day.sums;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, sums)| std::cmp::Reverse((sums.billed_micros, sums.calls)));
    let rows = all.into_iter().map(|((model, provider), sums)| row(model, provider, sums));
    (rows.collect(), row("All models", "", in_all))
}

fn row(model: &str, provider: &str, sums: Sums) -> ModelRow {
    let mut notes = Vec::new();
    if sums.unpriced > 0 {
        notes.push(format!("{} unmetered", format::grouped(sums.unpriced)));
    }
    if sums.estimated > 0 {
        notes.push(format!("{} estimated", format::grouped(sums.estimated)));
    }
    ModelRow {
        model: model.to_owned(),
        provider: provider.to_owned(),
        calls: format::grouped(sums.calls),
        input: format::tokens(sums.input),
        cached: format::tokens(sums.cache_read.saturating_add(sums.cache_write)),
        output: format::tokens(sums.output),
        billed: format::money(sums.billed_micros),
        list: format::money(sums.list_micros),
        note: notes.join(", "),
    }
}

const HEAD: &str = "date,agent,task,provider,model,calls,unpriced,estimated,input,cache_read,\
                    cache_write,output,reasoning,billed_usd,list_usd";

/// The days of a month, one line for each agent, model and task.
pub(super) async fn download(ws: Ws, Query(asked): Query<Asked>) -> Result<Response, PageError> {
    let (month, text) = ws.read(|snap| {
        let (month, _) = wanted(&ws, snap, &asked)?;
        let first = month.first_day();
        let rolled = daily::rolled(&ws, snap, first..=first + month.days() - 1)?;
        let mut text = format!("{HEAD}\r\n");
        for day in &rolled.days {
            let agent = match day.agent == nobody() {
                true => "tests of connections".to_owned(),
                false => snap.get::<Agent>(day.agent)?.map_or_else(String::new, |a| a.slug),
            };
            let task = day.task.map(|id| snap.get::<Task>(id)).transpose()?.flatten();
            text.push_str(&line(day, &agent, &task.map_or_else(String::new, |task| task.title)));
        }
        Ok::<_, StoreError>((month, text))
    })?;
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = format!("attachment; filename=\"{}-usage-{month}.csv\"", ws.slug);
    if let Ok(value) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn line(day: &UsageDay, agent: &str, task: &str) -> String {
    let sums = &day.sums;
    let counts = [
        sums.calls,
        sums.unpriced,
        sums.estimated,
        sums.input,
        sums.cache_read,
        sums.cache_write,
        sums.output,
        sums.reasoning,
    ];
    let words = [agent, task, &day.provider, &day.model].map(cell).join(",");
    let counts = counts.map(|n| n.to_string()).join(",");
    let (billed, list) = (dollars(sums.billed_micros), dollars(sums.list_micros));
    format!("{},{words},{counts},{billed},{list}\r\n", Month::date_of(day.day))
}

fn dollars(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A cell of words. One that a spreadsheet would take for a formula is made plain text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD, cell, dollars, line};
    use crate::features::usage::model::day::UsageDay;
    use crate::store::Record as _;

    #[test]
    fn a_line_of_the_file_has_all_cells_and_no_formula() {
        let text = line(&UsageDay::sample(), "ada", "Say \"hello\", twice");
        assert!(text.contains(",ada,\"Say \"\"hello\"\", twice\",anthropic,claude,3,1,1,1200,"));
        assert!(text.ends_with(",0.008400,0.009100\r\n"), "{text}");
        let plain = line(&UsageDay::sample(), "ada", "x");
        assert_eq!(plain.split(',').count(), HEAD.split(',').count());
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(dollars(-1_500_000), "-1.500000");
    }
}
