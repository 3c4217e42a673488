//! Conversion of errors to refusals for the link, and back.

use serde_json::Value;

use app::upstream::Refusal;
use features::inbox::rules::InboxError;
use features::jobs::rules::JobError;
use features::runs::rules::RunError;
use features::trust::rules::TrustError;
use features::usage::rules::UsageError;
use store::StoreError;

use crate::EngineError;

/// Restores an error from a refusal of the primary.
pub trait OfHome: From<StoreError> {
    /// The original error, as far as callers here distinguish it from others.
    fn from_refusal(refusal: Refusal) -> Self;
}

impl OfHome for StoreError {
    fn from_refusal(refusal: Refusal) -> Self {
        Self::Failed(refusal.sentence)
    }
}

impl OfHome for RunError {
    fn from_refusal(refusal: Refusal) -> Self {
        match refusal.code.as_str() {
            "run_fenced" => Self::Fenced,
            "run_ended" => Self::Ended(refusal.with.as_str().unwrap_or("the run").to_owned()),
            _ => StoreError::from_refusal(refusal).into(),
        }
    }
}

impl OfHome for InboxError {
    fn from_refusal(refusal: Refusal) -> Self {
        StoreError::from_refusal(refusal).into()
    }
}

impl OfHome for TrustError {
    fn from_refusal(refusal: Refusal) -> Self {
        StoreError::from_refusal(refusal).into()
    }
}

impl OfHome for JobError {
    fn from_refusal(refusal: Refusal) -> Self {
        match refusal.code.as_str() {
            // The message of a rule for whoever started the job.
            "tool" => Self::Told(refusal.sentence),
            _ => StoreError::from_refusal(refusal).into(),
        }
    }
}

impl OfHome for EngineError {
    fn from_refusal(refusal: Refusal) -> Self {
        match refusal.code.as_str() {
            "run_fenced" | "run_ended" => RunError::from_refusal(refusal).into(),
            "halted" => Self::Halted,
            "over_budget" => match serde_json::from_value(refusal.with.clone()) {
                Ok(lack) => UsageError::OverBudget(lack).into(),
                Err(_) => Self::Home(refusal),
            },
            _ => Self::Home(refusal),
        }
    }
}

impl From<&EngineError> for Refusal {
    fn from(error: &EngineError) -> Self {
        let with = match error {
            EngineError::Home(refusal) => return refusal.clone(),
            EngineError::Usage(UsageError::OverBudget(lack)) => {
                serde_json::to_value(lack).unwrap_or(Value::Null)
            }
            EngineError::Run(RunError::Ended(run)) => Value::String(run.clone()),
            _ => Value::Null,
        };
        Self { code: error.word().to_owned(), sentence: error.to_string(), with }
    }
}

#[cfg(test)]
mod tests {
    use super::OfHome;
    use crate::EngineError;
    use app::upstream::Refusal;
    use features::runs::rules::RunError;

    #[test]
    fn who_is_fenced_at_home_is_fenced_on_the_host() {
        for error in
            [RunError::Fenced.into(), RunError::Ended("Run 7".into()).into(), EngineError::Halted]
        {
            let error: EngineError = error;
            let back = EngineError::from_refusal(Refusal::from(&error));
            assert!(back.is_fenced(), "{back}");
            assert_eq!((back.word(), back.to_string()), (error.word(), error.to_string()));
        }
        let other = EngineError::from_refusal(Refusal::from(&EngineError::Tool("no".into())));
        assert!(!other.is_fenced() && other.word() == "tool", "{other}");
    }
}
