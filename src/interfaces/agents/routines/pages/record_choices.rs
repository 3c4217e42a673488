//! Choices of the form that come from records: task templates, and places for the result.

use features::routines::delivery;
use features::tasks::model::template::Template;
use store::{Read, StoreError};
use web::parts::Choice;

use super::typed::RoutineForm;

/// The templates, with the one selected by id or name.
pub(super) fn templates(all: &[Template], chosen: &str) -> Vec<Choice> {
    let none = Choice::new("", "None (only this task)", chosen.is_empty());
    let one = |template: &Template| {
        let is = template.id.to_string() == chosen || template.name.eq_ignore_ascii_case(chosen);
        Choice::new(template.id.to_string(), template.name.clone(), is)
    };
    std::iter::once(none).chain(all.iter().map(one)).collect()
}

/// The places for the result, with the selected one.
pub(super) fn places(read: &dyn Read, form: &RoutineForm) -> Result<Vec<Choice>, StoreError> {
    let (all, chosen) = (delivery::choices(read, None)?, form.at("deliver_to"));
    if all.is_empty() && chosen.is_empty() {
        return Ok(Vec::new());
    }
    let none = Choice::new("", "Nowhere", chosen.is_empty());
    let mut choices: Vec<Choice> = all
        .into_iter()
        .map(|to| (to.target.to_string(), to.label))
        .map(|(id, label)| Choice::new(id.clone(), label, id == chosen))
        .collect();
    // A place that is missing now stays selected until somebody chooses another one.
    if !chosen.is_empty() && !choices.iter().any(|choice| choice.chosen) {
        choices.push(Choice::new(chosen, "No longer available", true));
    }
    choices.insert(0, none);
    Ok(choices)
}
