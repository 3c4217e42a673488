//! The dashboard.

use askama::Template;
use axum::response::Response;

use crate::app::{App, Ws};
use crate::kernel::Can;
use crate::web::error::PageError;
use crate::web::html;
use crate::web::routes::{Needs, Routes};
use crate::web::session::Person;
use crate::web::shell::Shell;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/", show.needs(Can::Read))
}

#[derive(Template)]
#[template(path = "dashboard/show.html")]
struct Show {
    shell: Shell,
    greeting: String,
}

async fn show(app: App, _ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    let zone = jiff::tz::TimeZone::get(&who.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let hour = app.clock.now().to_zoned(zone).hour();
    html::page(&Show { shell, greeting: greeting(hour, &who.name) })
}

/// "Good morning, Mira".
fn greeting(hour: i8, name: &str) -> String {
    let part = match hour {
        5..12 => "Good morning",
        12..18 => "Good afternoon",
        18..23 => "Good evening",
        _ => "Hello",
    };
    let first = name.split_whitespace().next().unwrap_or(name);
    format!("{part}, {first}")
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn the_greeting_follows_the_clock_of_the_person() {
        assert_eq!(greeting(8, "Mira Lindqvist"), "Good morning, Mira");
        assert_eq!(greeting(13, "Mira"), "Good afternoon, Mira");
        assert_eq!(greeting(2, "Mira"), "Hello, Mira");
    }
}
