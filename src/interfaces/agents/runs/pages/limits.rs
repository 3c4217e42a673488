//! Limits of sub-agents in the workspace settings.

use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::runs::model::{Bound, SubagentLimits};
use features::runs::rules::{self, RunError};
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::{check_rev, sentence};
use web::hx::Hx;
use web::session::Person;
use web::shell::Flash;

/// The form of sub-agent limits; empty fields mean the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentLimitsForm {
    depth: String,
    fan_out: String,
    live: String,
    total: String,
    minutes: String,
    rev: String,
}

impl AgentLimitsForm {
    fn limits(&self) -> Result<SubagentLimits, RunError> {
        let fields = [&self.depth, &self.fan_out, &self.live, &self.total, &self.minutes];
        let mut values = SubagentLimits::default().values();
        for (value, fields) in values.iter_mut().zip(numbers(SubagentLimits::BOUNDS, fields)?) {
            *value = fields.unwrap_or(*value);
        }
        let [depth, fan_out, live, total, minutes] = values;
        // A depth that does not fit is invalid, like 0.
        let depth = u8::try_from(depth).unwrap_or(0);
        Ok(SubagentLimits { depth, fan_out, live, total, minutes })
    }
}

/// Parses one number per limit; `None` if empty.
pub(super) fn numbers<const N: usize>(
    bounds: [Bound; N],
    fields: [&String; N],
) -> Result<[Option<u32>; N], RunError> {
    let mut values = [None; N];
    let all = bounds.into_iter().zip(fields).zip(values.iter_mut());
    for (((name, least, most), text), value) in all {
        if !text.trim().is_empty() {
            let bad = |_| RunError::BadLimit { name, least, most };
            *value = Some(text.trim().parse::<u32>().map_err(bad)?);
        }
    }
    Ok(values)
}

/// `POST /settings/subagents`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<AgentLimitsForm>,
) -> Result<Response, PageError> {
    let done = match form.limits() {
        Ok(limits) => {
            ws.write(&who, move |tx| -> Result<_, RunError> {
                check_rev::<SubagentLimits>(tx, (), &form.rev)?;
                rules::limits::set(tx, limits)
            })
            .await
        }
        Err(error) => Err(error),
    };
    saved((&app, &ws, &hx), done, "settings/general")
}

/// Redirects to a settings page with the result of its form; an invalid number becomes a notice.
pub(super) fn saved(
    (app, ws, hx): (&App, &Ws, &Hx),
    done: Result<(), RunError>,
    back: &str,
) -> Result<Response, PageError> {
    let flash = match done {
        Ok(()) => Flash::ok("Saved."),
        Err(error @ (RunError::BadLimit { .. } | RunError::BadPause | RunError::BadCap)) => {
            Flash::danger(sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    Ok(flash::say(app, flash, hx.go_to(&ws.url(back))))
}

#[cfg(test)]
mod tests {
    use super::AgentLimitsForm;
    use features::runs::model::SubagentLimits;

    #[test]
    fn what_is_left_empty_is_as_usual_and_what_is_no_number_is_named() {
        assert_eq!(AgentLimitsForm::default().limits().unwrap(), SubagentLimits::default());
        let form = AgentLimitsForm {
            live: " 3 ".to_owned(),
            depth: "2".to_owned(),
            ..AgentLimitsForm::default()
        };
        let expected = SubagentLimits { live: 3, depth: 2, ..SubagentLimits::default() };
        assert_eq!(form.limits().unwrap(), expected);
        let wrong = AgentLimitsForm { total: "many".to_owned(), ..AgentLimitsForm::default() };
        assert_eq!(wrong.limits().unwrap_err().to_string(), "total must be a number from 1 to 100");
    }
}
